{{/* Who may reach pods, and what they may reach: as metadata, "name", "ingress", "egress" (lists of rules). */}}
{{- define "aftercall.networkPolicy" }}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ .name }}
  {{- include "aftercall.metadata" . | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "aftercall.selectorLabels" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
  ingress:
    {{- toYaml .ingress | nindent 4 }}
  egress:
    {{- toYaml .egress | nindent 4 }}
{{- end -}}
