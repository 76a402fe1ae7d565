#!/bin/sh
# Queries the four loads of each pod for one moment and saves the answers in the form that `replay` reads.
# Usage: ask.sh ENDPOINT FOLDER repeats this every 30 seconds; with a third argument it does so once.
set -eu
endpoint=$1 folder=$2

ask() {
    curl --silent --show-error --fail --data-urlencode "query=$2" --data-urlencode "time=$now" \
        --output "$folder/.$1.json" "$endpoint/api/v1/query"
    mv "$folder/.$1.json" "$folder/$1.json"
}

while :; do
    now=$(date +%s)
    ask cpu 'sum by (namespace, pod) (rate(container_cpu_usage_seconds_total{namespace="demo"}[1m]))' \
        && ask memory 'sum by (namespace, pod) (container_memory_working_set_bytes{namespace="demo"})' \
        && ask lag 'sum by (namespace, pod) (kafka_consumer_fetch_manager_records_lag{namespace="demo"} >= 0)' \
        && ask rate 'sum by (namespace, pod) (rate(kafka_consumer_fetch_manager_records_consumed_total{namespace="demo"}[1m]))' \
        || echo "no answer yet" >&2
    [ $# -lt 3 ] || exit 0
    sleep 30
done
