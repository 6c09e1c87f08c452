# A full process table passes: what finds no row is tried again for a while.
rows 1
apply a | b
  plan start a [0]
  plan start b [0]
    start a/0 v0
wait 3000
  ok a: start
delete a
  plan delete a [0]
    delete a/0
wait 1000
  ok a: delete
    start b/0 v0
  ok b: start
state
  b/0 v0 running
# It does not pass in time: that is said, and the next look tries again.
apply b | c
  plan start c [0]
wait 20000
  FAILED c: start: c/0 cannot find a free table entry for `shop:c/0`: the process table is full; delete apps or scale them down
rows 2
wait 40000
    start c/0 v0
  ok c: start (by itself)
state
  b/0 v0 running
  c/0 v0 running
