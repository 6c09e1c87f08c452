# An apply with a failure withholds its deletes. One that follows removes the app again, and that counts.
apply old
wait 1000
apply f | g exit=1@50 | h after=f
wait 1000
apply k
wait 60000
state
