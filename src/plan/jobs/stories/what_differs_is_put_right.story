# self_heal = "config": a changed file of restart_on gets new processes, by the strategy of the app.
heal config
apply web v1 x2 rolling ready=100 conf | job v1 conf
  plan start web [0, 1]
  plan start job [0]
    start web/0 v1
    start web/1 v1
    start job/0 v1
wait 2000
  ok web: start
  ok job: start
touch web
wait 5000
wait 30000
  self_heal: roll web [0, 1]
    start web/0+ v1
    delete web/0
    web/0+ takes over
    start web/1+ v1
    delete web/1
    web/1+ takes over
  ok web: roll (by itself)
state
  job/0 v1 running
  web/0 v1 running
  web/1 v1 running
# What a user stopped stays stopped, and what a user scaled stays scaled.
stop job
  plan stop job [0]
    stop job/0
touch job
scale web 3
  plan scale web 2->3 +[2] -[]
    start web/2 v1
wait 1200000
  ok job: stop
  ok web: scale
state
  job/0 v1 stopped
  web/0 v1 running
  web/1 v1 running
  web/2 v1 running
# The start brings the new contents along; the declaration follows.
start job
  plan start job [0]
    start job/0 v1
wait 60000
  ok job: start
  self_heal: roll job [0]
    restart job/0 v1
  ok job: roll (by itself)
# Five times in a row, with longer and longer waits; then there is a pause of an hour.
touch web
wait 600000
  self_heal: roll web [0, 1, 2]
    start web/0+ v1
    delete web/0
    web/0+ takes over
    start web/1+ v1
    delete web/1
    web/1+ takes over
    start web/2+ v1
    delete web/2
    web/2+ takes over
  ok web: roll (by itself)
touch web
wait 600000
  self_heal: roll web [0, 1, 2]
    start web/0+ v1
    delete web/0
    web/0+ takes over
    start web/1+ v1
    delete web/1
    web/1+ takes over
    start web/2+ v1
    delete web/2
    web/2+ takes over
  ok web: roll (by itself)
touch web
wait 600000
  self_heal: roll web [0, 1, 2]
    start web/0+ v1
    delete web/0
    web/0+ takes over
    start web/1+ v1
    delete web/1
    web/1+ takes over
    start web/2+ v1
    delete web/2
    web/2+ takes over
  ok web: roll (by itself)
touch web
wait 600000
  self_heal: roll web [0, 1, 2]
    start web/0+ v1
    delete web/0
    web/0+ takes over
    start web/1+ v1
    delete web/1
    web/1+ takes over
    start web/2+ v1
    delete web/2
    web/2+ takes over
  ok web: roll (by itself)
touch web
wait 600000
touch web
wait 600000
wait 3600000
  self_heal: roll web [0, 1, 2]
    start web/0+ v1
    delete web/0
    web/0+ takes over
    start web/1+ v1
    delete web/1
    web/1+ takes over
    start web/2+ v1
    delete web/2
    web/2+ takes over
  ok web: roll (by itself)
# self_heal = "full": what users scaled is theirs for ten minutes.
heal full
apply web v2 x2 rolling ready=100 conf | job v1 conf
  plan roll web [0, 1]
  plan scale web 3->2 +[] -[2]
    start web/0+ v2
wait 5000
    delete web/0
    web/0+ takes over
    start web/1+ v2
    delete web/1
    web/1+ takes over
    delete web/2
  ok web: roll
  ok web: scale
scale web 1
  plan scale web 2->1 +[] -[1]
    delete web/1
wait 540000
  ok web: scale
state
  job/0 v1 running
  web/0 v2 running
kill daemon
wait 120000
  self_heal: scale web 1->2 +[1] -[]
    start web/1 v2
  ok web: scale (by itself)
state
  job/0 v1 running
  web/0 v2 running
  web/1 v2 running
# A rollout that is paused is not passed by.
apply web v3 x2 rolling ready=100 conf | job v1 conf
  plan roll web [0, 1]
    start web/0+ v3
pause web
wait 5000
    delete web/0
    web/0+ takes over
  web waits: its rollout is paused
touch web
wait 1200000
resume web
    start web/1+ v3
wait 1200000
    delete web/1
    web/1+ takes over
  ok web: roll
  self_heal: roll web [0, 1]
    start web/0+ v3
    delete web/0
    web/0+ takes over
    start web/1+ v3
    delete web/1
    web/1+ takes over
  ok web: roll (by itself)
state
  job/0 v1 running
  web/0 v3 running
  web/1 v3 running
