# A release that fails in its second slot is rolled back and not retried.
apply web v1 x2 rolling ready=100
  plan start web [0, 1]
    start web/0 v1
    start web/1 v1
wait 2000
  ok web: start
state
  web/0 v1 running
  web/1 v1 running
apply web v2 x2 rolling ready=100 exit=3@150/1
  plan roll web [0, 1]
    start web/0+ v2
wait 5000
    delete web/0
    web/0+ takes over
    start web/1+ v2
    web/1+ ended with exit code 3
    delete web/1+
    start web/0+ v1
    delete web/0
    web/0+ takes over
  event web/1 could not be rolled out
  FAILED web: roll: web/1 ended with exit code 3 and is not restarted; went back
state
  web/0 v1 running
  web/1 v1 running
kill daemon
wait 60000
state
  web/0 v1 running
  web/1 v1 running
# Applying the same file again is the user's decision.
apply web v2 x2 rolling ready=100 exit=3@150/1
  plan roll web [0, 1]
    start web/0+ v2
wait 5000
    delete web/0
    web/0+ takes over
    start web/1+ v2
    web/1+ ended with exit code 3
    delete web/1+
    start web/0+ v1
    delete web/0
    web/0+ takes over
  event web/1 could not be rolled out
  FAILED web: roll: web/1 ended with exit code 3 and is not restarted; went back
