{{/* The first topic of the pool on which the test's tenant may be named: (dict "root" $ "pool" <pool>). */}}
{{- define "aftercall.test.topic" -}}
{{- $found := list -}}
{{- range .pool.topics -}}
{{- if or (empty .tenants) (has $.root.Values.tests.tenant .tenants) -}}{{- $found = append $found .name -}}{{- end -}}
{{- end -}}
{{- if not $found -}}
{{- fail (printf "tests.tenant: on no topic of pools.%s may %s be named; add it to a topic's tenants, or set tests.enabled: false" .pool.name .root.Values.tests.tenant) -}}
{{- end -}}
{{- first $found -}}
{{- end -}}

{{/* The first bucket in which the test's tenant may have recordings. */}}
{{- define "aftercall.test.bucket" -}}
{{- $found := list -}}
{{- range .Values.s3.recordingBuckets -}}
{{- if or (empty .tenants) (has $.Values.tests.tenant .tenants) -}}{{- $found = append $found .name -}}{{- end -}}
{{- end -}}
{{- if not $found -}}
{{- fail (printf "tests.tenant: in no bucket of s3.recordingBuckets may %s have recordings; add it to a bucket's tenants, or set tests.enabled: false" .Values.tests.tenant) -}}
{{- end -}}
{{- first $found -}}
{{- end -}}
