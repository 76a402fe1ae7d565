{{/* The name of a CronJob may have 52 characters: 25 for this name, a dash, and 26 for the target. */}}
{{- define "pod-rebalancer.fullname" -}}
{{- $name := include "pod-rebalancer.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 25 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 25 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 25 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "pod-rebalancer.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 25 | trimSuffix "-" -}}
{{- end -}}

{{/* The labels by which pods of the release are selected. */}}
{{- define "pod-rebalancer.selectorLabels" -}}
app.kubernetes.io/name: {{ include "pod-rebalancer.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "pod-rebalancer.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "pod-rebalancer.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "pod-rebalancer.image" -}}
{{- $repository := required "image.repository is needed: where you pushed the image of deploy/docker/Dockerfile" .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{ $repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ $repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/*
The schedule of a target. With spreadMinutes, "every N minutes" and "hourly" begin at a minute of the target's
own, so that many targets do not ask the metrics server at once. Call it with (dict "root" $ "target" .).
*/}}
{{- define "pod-rebalancer.schedule" -}}
{{- $schedule := .target.schedule | default .root.Values.schedule -}}
{{- $minute := adler32sum (printf "%s/%s" .root.Release.Namespace .target.name) | int64 -}}
{{- if and .root.Values.spreadMinutes (regexMatch "^[*]/([2-9]|[1-5][0-9]) " $schedule) -}}
{{- $every := regexFind "[0-9]+" $schedule | int64 -}}
{{- printf "%d-59/%d%s" (mod $minute $every) $every (regexReplaceAll "^[*]/[0-9]+" $schedule "") -}}
{{- else if and .root.Values.spreadMinutes (eq $schedule "@hourly") -}}
{{- printf "%d * * * *" (mod $minute 60) -}}
{{- else -}}
{{- $schedule -}}
{{- end -}}
{{- end -}}

{{/* The seconds of a duration such as 1h 30m. Call it with (dict "text" DURATION "target" NAME). */}}
{{- define "pod-rebalancer.seconds" -}}
{{- $seconds := 0 -}}
{{- range regexFindAll "[0-9]+ *[a-zA-Z]+" .text -1 -}}
{{- $number := regexFind "[0-9]+" . | int64 -}}
{{- $unit := regexFind "[a-zA-Z]+" . -}}
{{- if regexMatch "^s(ec(ond)?s?)?$" $unit -}}
{{- $seconds = add $seconds $number -}}
{{- else if regexMatch "^m(in(ute)?s?)?$" $unit -}}
{{- $seconds = add $seconds (mul 60 $number) -}}
{{- else if regexMatch "^h((ou)?rs?)?$" $unit -}}
{{- $seconds = add $seconds (mul 3600 $number) -}}
{{- else -}}
{{- fail (printf "RUN_TIMEOUT of target %s is %s: give it in hours, minutes and seconds" $.target $.text) -}}
{{- end -}}
{{- end -}}
{{- $seconds -}}
{{- end -}}

{{/* The port of an address such as https://host:9090/path or kube:NAMESPACE/SERVICE:9090. */}}
{{- define "pod-rebalancer.port" -}}
{{- if hasPrefix "kube:" . -}}
{{- regexFind "[0-9]+" (regexFind ":[0-9]+(/|$)" (trimPrefix "kube:" .)) -}}
{{- else -}}
{{- $url := urlParse . -}}
{{- regexFind "[0-9]+$" (regexFind ":[0-9]+$" $url.host) | default (ternary "443" "80" (eq $url.scheme "https")) -}}
{{- end -}}
{{- end -}}

{{/*
What runs, as a JSON list: each of `targets`, or one run for all workloads of the scope that opted in.
*/}}
{{- define "pod-rebalancer.targets" -}}
{{- if eq .Values.scope "targets" -}}
{{- if .Values.namespaces }}{{ fail "namespaces is for scope namespace" }}{{ end -}}
{{- .Values.targets | toJson -}}
{{- else -}}
{{- if .Values.targets }}{{ fail (printf "targets is for scope targets, and scope is %s: leave one out" .Values.scope) }}{{ end -}}
{{- if and .Values.namespaces (eq .Values.scope "cluster") }}{{ fail "namespaces is for scope namespace" }}{{ end -}}
{{- list (dict "name" "all") | toJson -}}
{{- end -}}
{{- end -}}

{{/* The namespaces that a release with scope namespace looks after, as a JSON list. */}}
{{- define "pod-rebalancer.namespaces" -}}
{{- .Values.namespaces | default (list .Release.Namespace) | uniq | sortAlpha | toJson -}}
{{- end -}}

{{/* A target with all defaults filled in, as JSON. Call it with (dict "root" $ "target" .). */}}
{{- define "pod-rebalancer.target" -}}
{{- $values := .root.Values -}}
{{- $target := .target -}}
{{- $name := printf "%s-%s" (include "pod-rebalancer.fullname" .root) $target.name -}}
{{- $dryRun := $values.dryRun -}}
{{- if hasKey $target "dryRun" }}{{ $dryRun = $target.dryRun }}{{ end -}}
{{- $dryRun = get (dict "true" "client" "false" "none") (toString $dryRun) | default (toString $dryRun) -}}
{{- $suspend := $values.suspend -}}
{{- if hasKey $target "suspend" }}{{ $suspend = $target.suspend }}{{ end -}}
{{- range $values.extraEnv }}
{{- if eq .name "RUN_TIMEOUT" }}{{ fail "RUN_TIMEOUT belongs into settings: the deadline of the job depends on it" }}{{ end -}}
{{- end -}}
{{- /* The default of the program, which a variable of extraEnvFrom cannot change behind the deadline's back. */ -}}
{{- $timeout := dict "RUN_TIMEOUT" (ternary "90s" "3m" (eq $values.scope "targets")) -}}
{{- $settings := mergeOverwrite $timeout (deepCopy $values.settings) ($target.settings | default dict) -}}
{{- /* A job begins before its pod is scheduled and its image is pulled, and a run may write and push what it did after RUN_TIMEOUT. */ -}}
{{- $runs := include "pod-rebalancer.seconds" (dict "text" $settings.RUN_TIMEOUT "target" $target.name) | int64 -}}
{{- $deadline := add $runs 60 -}}
{{- with $values.activeDeadlineSeconds -}}
{{- $deadline = int64 . -}}
{{- if lt $deadline (add $runs 30) }}
{{- fail (printf "activeDeadlineSeconds is %d, too short for target %s: its RUN_TIMEOUT is %s, and a run needs up to 30 s more to end in order" $deadline $target.name $settings.RUN_TIMEOUT) }}
{{- end -}}
{{- end -}}
{{- $account := $name -}}
{{- if not $values.serviceAccount.create -}}
{{- $account = required "serviceAccount.name is needed where serviceAccount.create is false" $values.serviceAccount.name -}}
{{- end -}}
{{- /* The namespaces of a Role each; the arguments of a run and of a check; and where the pods are, in words. */ -}}
{{- $namespaces := list ($target.namespace | default .root.Release.Namespace) -}}
{{- $named := ternary (list) (list $target.workload) (hasKey $target "selector") -}}
{{- $run := concat (list "run") $named -}}
{{- $check := concat (list "check") $named -}}
{{- $pods := $target.selector | default $target.workload -}}
{{- $place := printf "namespace %s" (first $namespaces) -}}
{{- if eq $values.scope "namespace" -}}
{{- $namespaces = include "pod-rebalancer.namespaces" .root | fromJsonArray -}}
{{- $run = list "run" "--all" -}}
{{- $check = list "scan" -}}
{{- $pods = "each workload that opts in" -}}
{{- $place = printf "namespace %s" (join ", " $namespaces) -}}
{{- else if eq $values.scope "cluster" -}}
{{- $namespaces = list -}}
{{- $run = list "run" "--all" "--all-namespaces" -}}
{{- $check = list "scan" "--all-namespaces" -}}
{{- $pods = "each workload that opts in" -}}
{{- $place = "all namespaces" -}}
{{- end -}}
{{- dict "name" $name
    "target" $target.name
    "namespaces" $namespaces
    "selector" ($target.selector | default "")
    "workload" ($target.workload | default "")
    "pods" $pods
    "place" $place
    "run" $run
    "check" $check
    "schedule" (include "pod-rebalancer.schedule" (dict "root" .root "target" $target))
    "suspend" $suspend
    "dryRun" $dryRun
    "deletes" (eq (toString $settings.EVICTION_METHOD | lower) "delete")
    "settings" $settings
    "deadlineSeconds" $deadline
    "serviceAccount" $account | toJson -}}
{{- end -}}

{{/*
A setting as text. YAML reads every number as a float, and a large one would print as 1e+06. It also
reads a bare `off` as false, which is not a valid duration.
*/}}
{{- define "pod-rebalancer.text" -}}
{{- if kindIs "bool" . -}}{{ ternary "on" "off" . }}
{{- else if and (kindIs "float64" .) (eq . (floor .)) -}}{{ printf "%.0f" . }}
{{- else -}}{{ toString . }}
{{- end -}}
{{- end -}}
