# Apps that are no longer in the file are deleted only when everything else has succeeded.
apply web v1 | old v1
  plan start web [0]
  plan start old [0]
    start web/0 v1
    start old/0 v1
wait 1000
  ok web: start
  ok old: start
apply web v1 | new v1 ready=500
  plan start new [0]
  plan delete old [0]
    start new/0 v1
kill daemon
state
  new/0 v1 starting
  old/0 v1 running
  web/0 v1 running
wait 1000
  ok new: come up (by itself)
    delete old/0
  ok old: delete (by itself)
state
  new/0 v1 running
  web/0 v1 running
# A failure withholds deletes: another apply decides about them.
apply web v1 | bad v1 exit=1@100
  plan start bad [0]
  plan delete new [0]
    start bad/0 v1
wait 1000
    bad/0 ended with exit code 1
  FAILED bad: start: bad/0 ended with exit code 1 and is not restarted
  skipped new: delete: deletes are withheld
state
  bad/0 v1 errored
  new/0 v1 running
  web/0 v1 running
kill daemon
wait 60000
state
  bad/0 v1 errored
  new/0 v1 running
  web/0 v1 running
