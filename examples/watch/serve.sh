#!/bin/sh
# Stands in for a server: says what it would serve.
echo "serving: $(cat public/index.html)"
exec sleep 1000000
