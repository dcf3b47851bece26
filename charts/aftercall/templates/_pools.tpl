{{/* Pools, whole: each over `poolDefaults`, with what follows from the rest of the values. As YAML, by name. */}}
{{- define "aftercall.pools" -}}
{{- $all := dict -}}
{{- range $name, $given := .Values.pools -}}
{{- $pool := deepCopy $.Values.poolDefaults -}}
{{- include "aftercall.over" (dict "into" $pool "from" (deepCopy (default (dict) $given))) -}}
{{- $_ := set $pool "name" $name -}}
{{- $_ := set $pool "given" (default (dict) $given) -}}
{{- $_ := set $pool "consumerGroup" (default $.Values.kafka.consumerGroup $pool.consumerGroup) -}}
{{- $_ := set $pool "deferredTopic" (default $.Values.kafka.topics.deferred $pool.deferredTopic) -}}
{{- $_ := set $pool "parkedTopic" (default $.Values.kafka.topics.parked $pool.parkedTopic) -}}
{{- $_ := set $pool "consumersName" (printf "%s-%s-consumers" (include "aftercall.fullname" $) $name) -}}
{{- $_ := set $pool "speechName" (printf "%s-%s-speech" (include "aftercall.fullname" $) $name) -}}
{{- $_ := set $all $name $pool -}}
{{- end -}}
{{- toYaml $all -}}
{{- end -}}

{{/* The pool that a component works with: (dict "root" $ "key" "api.pool" "named" .Values.api.pool). As YAML. */}}
{{- define "aftercall.poolOf" -}}
{{- $pools := include "aftercall.pools" .root | fromYaml -}}
{{- if .named -}}
{{- if not (hasKey $pools .named) -}}
{{- fail (printf "%s: there is no pool %q; pools are %s" .key .named (keys $pools | sortAlpha | join ", ")) -}}
{{- end -}}
{{- get $pools .named | toYaml -}}
{{- else if eq (len $pools) 1 -}}
{{- first (values $pools) | toYaml -}}
{{- else -}}
{{- fail (printf "%s: there are several pools, so name one of %s" .key (keys $pools | sortAlpha | join ", ")) -}}
{{- end -}}
{{- end -}}

{{/* Where consumers reach their speech servers: a pool. */}}
{{- define "aftercall.speechUrl" -}}
{{- $host := printf "%s.%s.svc" .pool.speechName .root.Release.Namespace -}}
{{- if eq .pool.backend "Triton" -}}grpc://{{ $host }}:8001
{{- else if eq .pool.backend "Ray" -}}http://{{ $host }}:8000
{{- else if eq .pool.backend "External" -}}{{ .pool.external.url }}
{{- end -}}
{{- end -}}

{{/* The TranscriptionPool's specification: (dict "root" $ "pool" <pool>). */}}
{{- define "aftercall.poolSpec" -}}
{{- $pool := .pool -}}
mode: {{ $pool.mode }}
promiseSeconds: {{ int64 $pool.promiseSeconds }}
consumerGroup: {{ $pool.consumerGroup }}
topics:
  {{- range $pool.topics }}
  - name: {{ .name }}
    lane: {{ default "Live" .lane }}
    {{- with .promiseSeconds }}
    promiseSeconds: {{ int64 . }}
    {{- end }}
  {{- end }}
backend:
  {{- if eq $pool.backend "Triton" }}
  kind: Deployment
  deployment: {name: {{ $pool.speechName }}}
  {{- else if eq $pool.backend "Ray" }}
  kind: RayServe
  rayServe: {service: {{ $pool.speechName }}-head-svc, port: 8265, application: aftercall, deployment: speech}
  {{- else }}
  kind: External
  {{- end }}
{{- if has $pool.backend (list "Triton" "Ray") }}
scaling:
  {{- with $pool.speech }}
  minReplicas: {{ int64 .minReplicas }}
  maxReplicas: {{ int64 .maxReplicas }}
  drainTargetSeconds: {{ int64 .drainTargetSeconds }}
  headroomPercent: {{ int64 .headroomPercent }}
  stabilizationSeconds: {{ int64 .stabilizationSeconds }}
  coldStartSeconds: {{ int64 .coldStartSeconds }}
  capacityAudioSecondsPerMinute: {{ int64 .capacityAudioSecondsPerMinute }}
  {{- with .maxStep }}
  maxStep: {{ int64 . }}
  {{- end }}
  {{- end }}
{{- end }}
consumers:
  deployment: {{ $pool.consumersName }}
  {{- with $pool.consumers }}
  minReplicas: {{ int64 .minReplicas }}
  maxReplicas: {{ int64 .maxReplicas }}
  stabilizationSeconds: {{ int64 .stabilizationSeconds }}
  capacityAudioSecondsPerMinute: {{ int64 .capacityAudioSecondsPerMinute }}
  {{- end }}
{{- if eq $pool.mode "External" }}
replicas: {{ int64 $pool.speech.replicas }}
{{- end }}
{{- end -}}

{{/* How a custom resource of ours comes to be: (dict "root" $ "kind" "Tenant" "name" … "component" … "spec" <yaml>).
A release cannot hold a kind that its own CRD only brings: so at first a hook makes it, after everything else and marked
as the release's own, and from the next revision on it is one of the release's objects. Uninstalling before that takes it
away by a hook, too. */}}
{{- define "aftercall.customResource" -}}
{{- $there := include "aftercall.has" (dict "root" .root "said" .root.Values.capabilities.aftercall "kind" (printf "aftercall.io/v1alpha1/%s" .kind)) -}}
{{- $owned := dict "meta.helm.sh/release-name" .root.Release.Name "meta.helm.sh/release-namespace" .root.Release.Namespace -}}
{{- if $there }}
{{- include "aftercall.customResource.one" (merge (dict "annotations" (dict)) .) }}
{{- else }}
{{- include "aftercall.customResource.one" (merge (dict "annotations" (merge (dict "helm.sh/hook" "post-install,post-rollback" "helm.sh/hook-weight" "10") $owned)) .) }}
{{- include "aftercall.customResource.one" (merge (dict "annotations" (merge (dict "helm.sh/hook" "post-delete" "helm.sh/hook-delete-policy" "before-hook-creation,hook-succeeded") $owned)) .) }}
{{- end }}
{{- end -}}

{{- define "aftercall.customResource.one" }}
---
apiVersion: aftercall.io/v1alpha1
kind: {{ .kind }}
metadata:
  name: {{ .name }}
  {{- include "aftercall.metadata" . | nindent 2 }}
spec:
  {{- .spec | nindent 2 }}
{{- end -}}
