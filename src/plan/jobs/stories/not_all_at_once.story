# `start_concurrency = 2`: two start, the others follow as soon as one of them is ready.
limit 2
apply a ready=500 | b ready=900 | c ready=100 | d ready=100
  plan start a [0]
  plan start b [0]
  plan start c [0]
  plan start d [0]
    start a/0 v0
    start b/0 v0
wait 3000
    start c/0 v0
  ok a: start
    start d/0 v0
  ok c: start
  ok d: start
  ok b: start
state
  a/0 v0 running
  b/0 v0 running
  c/0 v0 running
  d/0 v0 running
# Copies of one app count one by one.
apply e ready=100 x5
  plan start e [0, 1, 2, 3, 4]
  plan delete d [0]
  plan delete c [0]
  plan delete b [0]
  plan delete a [0]
    start e/0 v0
    start e/1 v0
wait 3000
    start e/2 v0
    start e/3 v0
    start e/4 v0
  ok e: start
    delete d/0
    delete c/0
    delete b/0
    delete a/0
  ok d: delete
  ok c: delete
  ok b: delete
  ok a: delete
# A start that fails gives its place back; one that waits for another app takes none.
apply f ready=400 | g exit=1@50 | h after=f | i | j
  plan start f [0]
  plan start g [0]
  plan start h [0]
  plan start i [0]
  plan start j [0]
  plan delete e [0, 1, 2, 3, 4]
    start f/0 v0
    start g/0 v0
wait 3000
    g/0 ended with exit code 1
    start i/0 v0
  FAILED g: start: g/0 ended with exit code 1 and is not restarted
    start j/0 v0
  ok i: start
  ok f: start
  ok j: start
# A limit that is taken away holds nobody up any more.
limit none
apply k ready=500 | l ready=500 | m ready=500 | n ready=500
  plan start k [0]
  plan start l [0]
  plan start m [0]
  plan start n [0]
  plan delete j [0]
  plan delete i [0]
  plan delete h []
  plan delete g [0]
  plan delete f [0]
  plan delete e [0, 1, 2, 3, 4]
    start k/0 v0
    start l/0 v0
    start m/0 v0
    start n/0 v0
  skipped h: start: a later command took over
  left e: delete, a later command took over
wait 1000
  ok k: start
  ok l: start
  ok m: start
  ok n: start
    delete j/0
    delete i/0
    delete g/0
    delete f/0
    delete e/0
    delete e/1
    delete e/2
    delete e/3
    delete e/4
  ok h: delete
  ok g: delete
  ok j: delete
  ok i: delete
  ok f: delete
  ok e: delete
