{{/*
A Role with what a target needs and no more, and its binding to the account of the target; with "cluster" "Cluster"
a ClusterRole. Call it with (dict "root" $ "target" TARGET "cluster" "" "name" NAME "namespace" NAMESPACE).
*/}}
{{- define "pod-rebalancer.grant" }}
{{- $target := .target }}
{{- $isOfAll := ne .root.Values.scope "targets" }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ .cluster }}Role
metadata:
  name: {{ .name }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- include "pod-rebalancer.labels" .root | nindent 4 }}
    pod-rebalancer/target: {{ $target.target }}
rules:
  # To observe the workloads and to plan.
  - apiGroups: [""]
    resources: [pods, persistentvolumeclaims]
    verbs: [list]
  - apiGroups: [policy]
    resources: [poddisruptionbudgets]
    verbs: [list]
  - apiGroups: [apps]
    resources: [replicasets, deployments, statefulsets]
    verbs: [get{{ if $isOfAll }}, list{{ end }}]
  {{- if not $isOfAll }}
  - apiGroups: [""]
    resources: [replicationcontrollers]
    verbs: [get]
  - apiGroups: [argoproj.io]
    resources: [rollouts]
    verbs: [get]
  {{- end }}
  {{- if ne $target.dryRun "client" }}
  # To evict, to look up a pod when an eviction got no answer, to write Events, and to read the Events of
  # other runs.
  {{- if $target.deletes }}
  - apiGroups: [""]
    resources: [pods]
    verbs: [delete]
  {{- end }}
  - apiGroups: [""]
    resources: [pods/eviction]
    verbs: [create]
  - apiGroups: [""]
    resources: [pods]
    verbs: [get]
  - apiGroups: [events.k8s.io]
    resources: [events]
    verbs: [create, list]
  {{- end }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ .cluster }}RoleBinding
metadata:
  name: {{ .name }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- include "pod-rebalancer.labels" .root | nindent 4 }}
    pod-rebalancer/target: {{ $target.target }}
subjects:
  - kind: ServiceAccount
    name: {{ $target.serviceAccount }}
    namespace: {{ .root.Release.Namespace }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ .cluster }}Role
  name: {{ .name }}
{{- end }}
