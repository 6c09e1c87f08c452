# A task completes before its dependents start; a failed one blocks them.
apply db v1 ready=200 | seed v1 task exit=0@300 needs=db | web v1 after=seed
  plan start db [0]
  plan start seed [0]
  plan start web [0]
    start db/0 v1
wait 3000
    start seed/0 v1
  ok db: start
    seed/0 ended with exit code 0
    start web/0 v1
  ok seed: completed
  ok web: start
state
  db/0 v1 running
  seed/0 v1 done
  web/0 v1 running
apply db v1 ready=200 | seed v2 task exit=7@300 needs=db | web v2 after=seed
  plan start seed [0]
  plan roll web [0]
    start seed/0 v2
wait 3000
    seed/0 ended with exit code 7
  FAILED seed: start: seed/0 ended with exit code 7 and is not restarted
  skipped web: roll: a dependency did not come up
state
  db/0 v1 running
  seed/0 v2 errored
  web/0 v1 running
