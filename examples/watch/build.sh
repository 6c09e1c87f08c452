#!/bin/sh
# Makes the page of its source; fails when there is nothing in it.
[ -s src/greeting.txt ] || { echo "src/greeting.txt is empty"; exit 1; }
printf '<h1>%s</h1>\n' "$(cat src/greeting.txt)" > public/index.html
