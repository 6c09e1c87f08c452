# A program that is still being written is retried; nothing is rolled back for it.
apply web v1
  plan start web [0]
    start web/0 v1
wait 1000
  ok web: start
apply web v2 busy=2500
  plan roll web [0]
    restart web/0 v2
wait 2000
  ok web: roll
state
  web/0 v2 running
# A failure that does not pass in time counts: the old version is started again, as the text says.
apply web v3 busy=60000
  plan roll web [0]
    restart web/0 v3
wait 20000
    restart web/0 v2
  event web/0 could not be rolled out
  FAILED web: roll: web/0 cannot execute `web`: Text file busy; went back
state
  web/0 v2 running
