# A rollback never stops a healthy copy for one that does not come up.
apply web v1 x2 healthy=0
  plan start web [0, 1]
    start web/0 v1
    start web/1 v1
wait 1000
  ok web: start
apply web v2 x2 healthy=0 exit=3@100/1
  plan roll web [0, 1]
    restart web/0 v2
wait 200
state
  web/0 v2 running
  web/1 v1 running
wait 3000
    restart web/1 v2
    web/1 ended with exit code 3
    restart web/1 v1
    restart web/0 v1
  event web/1 could not be rolled out
  FAILED web: roll: web/1 ended with exit code 3 and is not restarted; went back
state
  web/0 v1 running
  web/1 v1 running
# Nothing is stopped for a program that does not exist.
apply web v3 x2 healthy=0 missing
  plan roll web [0, 1]
  event web/0 could not be rolled out
  FAILED web: roll: web/0 cannot execute `web`: No such file or directory; the old one kept running
wait 1000
state
  web/0 v1 running
  web/1 v1 running
