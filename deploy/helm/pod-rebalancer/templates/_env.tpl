{{/* The environment of a target's container. Call it with (dict "root" $ "target" TARGET). */}}
{{- define "pod-rebalancer.env" -}}
{{- $folder := "/etc/pod-rebalancer/prometheus" -}}
{{- $pushFolder := "/etc/pod-rebalancer/metrics" -}}
{{- $values := .root.Values -}}
{{- $prometheus := $values.prometheus -}}
{{- if not (or $values.kafka.bootstrapServers .target.settings.KAFKA_BOOTSTRAP_SERVERS) }}
{{- $_ := required "prometheus.endpoint is needed: the base address of Prometheus or VictoriaMetrics" $prometheus.endpoint }}
{{- end }}
- name: PROMETHEUS_ENDPOINT
  value: {{ $prometheus.endpoint | quote }}
{{- with .target.namespaces }}
- name: KUBE_NAMESPACE
  value: {{ join "," . | quote }}
{{- end }}
{{- with .target.selector }}
- name: KUBE_LABEL_SELECTOR
  value: {{ . | quote }}
{{- end }}
- name: DRY_RUN
  value: {{ .target.dryRun | quote }}
- name: OUTPUT
  value: {{ $values.output | quote }}
- name: LOG_FORMAT
  value: json
- name: LOG_LEVEL
  value: {{ $values.logLevel | quote }}
{{- with $prometheus.bearerTokenKey }}
- name: PROMETHEUS_BEARER_TOKEN_FILE
  value: {{ printf "%s/%s" $folder . | quote }}
{{- end }}
{{- with $prometheus.username }}
- name: PROMETHEUS_USERNAME
  value: {{ . | quote }}
{{- end }}
{{- with $prometheus.passwordKey }}
- name: PROMETHEUS_PASSWORD_FILE
  value: {{ printf "%s/%s" $folder . | quote }}
{{- end }}
{{- with $prometheus.caKey }}
- name: PROMETHEUS_CA_FILE
  value: {{ printf "%s/%s" $folder . | quote }}
{{- end }}
{{- with $prometheus.clientCertKey }}
- name: PROMETHEUS_CLIENT_CERT
  value: {{ printf "%s/%s" $folder . | quote }}
{{- end }}
{{- with $prometheus.clientKeyKey }}
- name: PROMETHEUS_CLIENT_KEY
  value: {{ printf "%s/%s" $folder . | quote }}
{{- end }}
{{- with $prometheus.headersKey }}
- name: PROMETHEUS_HEADERS
  valueFrom:
    secretKeyRef:
      name: {{ $prometheus.existingSecret }}
      key: {{ . }}
{{- end }}
{{- with $values.kafka }}
{{- $kafkaFolder := "/etc/pod-rebalancer/kafka" }}
{{- if .bootstrapServers }}
- name: KAFKA_BOOTSTRAP_SERVERS
  value: {{ .bootstrapServers | quote }}
- name: KAFKA_TLS
  value: {{ .tls | quote }}
{{- end }}
{{- with .saslMechanism }}
- name: KAFKA_SASL_MECHANISM
  value: {{ . | quote }}
{{- end }}
{{- with .username }}
- name: KAFKA_USERNAME
  value: {{ . | quote }}
{{- end }}
{{- range $name, $key := dict "KAFKA_PASSWORD_FILE" .passwordKey "KAFKA_TOKEN_FILE" .tokenKey "KAFKA_CA_FILE" .caKey "KAFKA_CLIENT_CERT" .clientCertKey "KAFKA_CLIENT_KEY" .clientKeyKey }}
{{- with $key }}
- name: {{ $name }}
  value: {{ printf "%s/%s" $kafkaFolder . | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- with $values.metrics.pushUrl }}
- name: METRICS_PUSH_URL
  value: {{ . | quote }}
{{- end }}
{{- with $values.metrics.bearerTokenKey }}
- name: METRICS_BEARER_TOKEN_FILE
  value: {{ printf "%s/%s" $pushFolder . | quote }}
{{- end }}
{{- with $values.metrics.username }}
- name: METRICS_USERNAME
  value: {{ . | quote }}
{{- end }}
{{- with $values.metrics.passwordKey }}
- name: METRICS_PASSWORD_FILE
  value: {{ printf "%s/%s" $pushFolder . | quote }}
{{- end }}
{{- with $values.metrics.caKey }}
- name: METRICS_CA_FILE
  value: {{ printf "%s/%s" $pushFolder . | quote }}
{{- end }}
{{- with $values.webhook.existingSecret }}
- name: WEBHOOK_URL
  valueFrom:
    secretKeyRef:
      name: {{ . }}
      key: {{ $values.webhook.urlKey }}
{{- end }}
{{- range $name, $value := .target.settings }}
- name: {{ $name }}
  value: {{ include "pod-rebalancer.text" $value | quote }}
{{- end }}
{{- with $values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}
