#!/bin/sh
# Exports metrics of six pods as cAdvisor and Micrometer would: orders-4 is far too busy, orders-5 nearly idle.
# Usage: skewed-pods.sh FOLDER serves them on port 8080 from that folder; without a folder it prints them once.
set -eu

metrics() {
    awk -v now="$(date +%s)" '
        function family(name, kind, help) { printf "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind; n = name }
        function sample(pod, labels, value) { printf "%s{namespace=\"demo\",pod=\"orders-%d\"%s} %.3f\n", n, pod - 1, labels, value }
        BEGIN {
            # Counters grow from a fixed time, so that a restart of the exporter does not reset them.
            since = now - 1700000000
            app = ",container=\"app\""; topic = ",topic=\"orders\""
            pods = split("0.94 0.91 0.98 1.02 2.90 0.11", cores); split("400 380 410 395 620 240", mebibytes)
            split("2100 1900 2300 2000 21000 90", lag); split("480 470 500 490 560 40", rate)
            family("container_cpu_usage_seconds_total", "counter", "CPU time used.")
            for (pod = 1; pod <= pods; pod++) sample(pod, app, cores[pod] * since)
            family("container_memory_working_set_bytes", "gauge", "Memory in use.")
            for (pod = 1; pod <= pods; pod++) sample(pod, app, mebibytes[pod] * 1048576)
            family("kafka_consumer_fetch_manager_records_lag", "gauge", "Messages behind.")
            for (pod = 1; pod <= pods; pod++) sample(pod, topic, lag[pod])
            family("kafka_consumer_fetch_manager_records_consumed_total", "counter", "Messages consumed.")
            for (pod = 1; pod <= pods; pod++) sample(pod, topic, rate[pod] * since)
        }'
}

if [ $# = 0 ]; then
    metrics
    exit
fi
mkdir -p "$1"
metrics > "$1/metrics"
httpd -p 8080 -h "$1"
while sleep 5; do
    metrics > "$1/metrics.new"
    mv "$1/metrics.new" "$1/metrics"
done
