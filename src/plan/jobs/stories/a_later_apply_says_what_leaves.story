# An apply with a failure withholds its deletes. One that follows removes the app again, and that counts.
apply old
  plan start old [0]
    start old/0 v0
wait 1000
  ok old: start
apply f | g exit=1@50 | h after=f
  plan start f [0]
  plan start g [0]
  plan start h [0]
  plan delete old [0]
    start f/0 v0
    start g/0 v0
wait 1000
    g/0 ended with exit code 1
  FAILED g: start: g/0 ended with exit code 1 and is not restarted
  ok f: start
apply k
  plan start k [0]
  plan delete old [0]
  plan delete h []
  plan delete g [0]
  plan delete f [0]
    start k/0 v0
  skipped h: start: a later command took over
  left old: delete, a later command took over
wait 60000
  ok k: start
    delete old/0
    delete g/0
    delete f/0
  ok h: delete
  ok g: delete
  ok old: delete
  ok f: delete
state
  k/0 v0 running
