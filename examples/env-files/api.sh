#!/bin/sh
# Says what it was told.
echo "$GREETING: level $LEVEL, database $DB_URL, price $PRICE"
exec sleep 1000
