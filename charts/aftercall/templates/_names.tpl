{{/* Names, labels and images. */}}

{{- define "aftercall.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Labels that select pods: (dict "root" $ "component" "relay" "pool" ""). */}}
{{- define "aftercall.selectorLabels" -}}
app.kubernetes.io/name: aftercall
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- with .pool }}
aftercall.io/pool: {{ . }}
{{- end }}
{{- end -}}

{{- define "aftercall.labels" -}}
{{ include "aftercall.selectorLabels" . }}
app.kubernetes.io/part-of: aftercall
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* What `metadata` of every object has but its name: as selectorLabels, and "annotations", "labels", "namespace". */}}
{{- define "aftercall.metadata" -}}
namespace: {{ default .root.Release.Namespace .namespace }}
labels:
  {{- include "aftercall.labels" . | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (dict) (default (dict) .annotations) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* An image's whole name: (dict "root" $ "image" .Values.image). */}}
{{- define "aftercall.image" -}}
{{- $registry := default .root.Values.global.imageRegistry .image.registry -}}
{{- $name := ternary .image.repository (printf "%s/%s" $registry .image.repository) (empty $registry) -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $name .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (default .root.Chart.AppVersion .image.tag) -}}
{{- end -}}
{{- end -}}

{{/* Whether the API server has a kind: (dict "root" $ "said" "Auto" "kind" "ray.io/v1/RayService"). "true" or nothing. */}}
{{- define "aftercall.has" -}}
{{- if eq .said "Present" -}}true
{{- else if and (eq .said "Auto") (.root.Capabilities.APIVersions.Has .kind) -}}true
{{- end -}}
{{- end -}}
