# A paused rollout begins no further slot; a stop acts at once.
apply web v1 x3 healthy=300
  plan start web [0, 1, 2]
    start web/0 v1
    start web/1 v1
    start web/2 v1
wait 1000
  ok web: start
apply web v2 x3 healthy=300
  plan roll web [0, 1, 2]
    restart web/0 v2
wait 100
pause web
wait 1000
  web waits: its rollout is paused
state
  web/0 v2 running
  web/1 v1 running
  web/2 v1 running
stop web/2
  plan stop web [2]
    stop web/2
wait 100
  ok web: stop
kill daemon
wait 1000
  web waits: its rollout is paused
state
  web/0 v2 running
  web/1 v1 running
  web/2 v1 stopped
resume web
    restart web/1 v2
wait 3000
  ok web: roll (by itself)
state
  web/0 v2 running
  web/1 v2 running
  web/2 v1 stopped
