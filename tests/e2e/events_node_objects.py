"""A bus, an event source and a sensor of the tests' own, beside those of the stack: every event becomes a ConfigMap."""

NAMESPACE = "argo-events"
NAME = "node-check"
ENDPOINT = "/github"
PORT = 12000
PART_OF = "app.kubernetes.io/part-of=coderun-node-check"

MANIFEST = f"""
apiVersion: v1
kind: Secret
metadata: {{name: {NAME}, namespace: {NAMESPACE}}}
stringData: {{secret: SECRET}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: {NAME}, namespace: {NAMESPACE}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: {NAME}, namespace: {NAMESPACE}}}
rules:
- {{apiGroups: [""], resources: [configmaps], verbs: [create]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: {NAME}, namespace: {NAMESPACE}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {NAME}}}
subjects:
- {{kind: ServiceAccount, name: {NAME}, namespace: {NAMESPACE}}}
---
apiVersion: argoproj.io/v1alpha1
kind: EventBus
metadata: {{name: {NAME}, namespace: {NAMESPACE}}}
spec:
  jetstream:
    version: 2.10.29
    replicas: 1
    persistence: {{storageClassName: local-path, accessMode: ReadWriteOnce, volumeSize: 1Gi}}
    settings: |
      max_memory_store: 64MB
      max_file_store: 512MB
    streamConfig: |
      replicas: 1
    securityContext: {{runAsNonRoot: true, runAsUser: 65532, fsGroup: 65532, seccompProfile: {{type: RuntimeDefault}}}}
---
apiVersion: argoproj.io/v1alpha1
kind: EventSource
metadata: {{name: {NAME}, namespace: {NAMESPACE}}}
spec:
  eventBusName: {NAME}
  service:
    ports: [{{port: {PORT}, targetPort: {PORT}}}]
  template:
    securityContext: {{runAsNonRoot: true, runAsUser: 65532, seccompProfile: {{type: RuntimeDefault}}}}
  github:
    pull-request:
      # One is required, and asked nothing: without a URL of its own the source manages no hooks.
      repositories: [{{owner: exampleorg, names: [sample]}}]
      webhook: {{endpoint: {ENDPOINT}, port: "{PORT}", method: POST, url: ""}}
      events: [pull_request]
      webhookSecret: {{name: {NAME}, key: secret}}
      contentType: json
      active: true
---
apiVersion: argoproj.io/v1alpha1
kind: Sensor
metadata: {{name: {NAME}, namespace: {NAMESPACE}}}
spec:
  eventBusName: {NAME}
  template:
    serviceAccountName: {NAME}
    securityContext: {{runAsNonRoot: true, runAsUser: 65532, seccompProfile: {{type: RuntimeDefault}}}}
  dependencies:
  - {{name: event, eventSourceName: {NAME}, eventName: pull-request}}
  triggers:
  - atLeastOnce: true
    retryStrategy: {{steps: 3, duration: 1s}}
    template:
      name: config-map
      k8s:
        operation: create
        source:
          resource:
            apiVersion: v1
            kind: ConfigMap
            metadata: {{name: placeholder, namespace: {NAMESPACE}, labels: {{app.kubernetes.io/part-of: coderun-node-check}}}}
            data: {{title: "", delivery: ""}}
        parameters:
        - {{src: {{dependencyName: event, dataTemplate: "{NAME}-{{{{ .Input.body.number | int64 }}}}"}}, dest: metadata.name}}
        - {{src: {{dependencyName: event, dataKey: body.pull_request.title}}, dest: data.title}}
        - {{src: {{dependencyName: event, dataKey: body.X-GitHub-Delivery}}, dest: data.delivery}}
"""
