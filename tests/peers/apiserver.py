"""A Kubernetes API server: TLS, RBAC, service-account tokens, admission and an audit log, as clusters have them."""

from __future__ import annotations

import dataclasses
import datetime
import json
import pathlib
import ssl
from collections.abc import Iterator, Sequence

import httpx2
from cryptography.hazmat.primitives.asymmetric import ec
from peers import kubernetes, pki, process

ISSUER = "https://kubernetes.default.svc"
"""Issuer of service-account tokens, and the audience of those that ask for none."""

# What is written is kept whole, except secrets and tokens; of what is read it is kept who read it.
_AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
omitManagedFields: true
rules:
- level: None
  users: ["system:apiserver", "system:kube-controller-manager", "system:kube-scheduler"]
  verbs: [get, list, watch]
- level: None
  userGroups: ["system:serviceaccounts:kube-system"]
  verbs: [get, list, watch]
- level: Metadata
  resources:
  - {group: "", resources: [secrets, serviceaccounts/token]}
  - {group: authentication.k8s.io, resources: [tokenreviews]}
- level: RequestResponse
  verbs: [create, update, patch, delete, deletecollection]
- level: Metadata
"""


@dataclasses.dataclass(frozen=True, slots=True)
class AuditEvent:
    """One request, as the API server noted it; `resource` has the subresource behind a slash."""

    at_s: float
    """When it came, of the epoch."""
    user: str
    agent: str
    verb: str
    resource: str
    namespace: str
    name: str
    code: int
    request: object | None
    response: object | None


class ApiServer(process.Server):
    """A server on loopback, whose data are etcd's and whose certificates are of its own authority."""

    def __init__(self, folder: pathlib.Path, etcd_url: str, *, args: Sequence[str] = ()) -> None:
        self.port = process.free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        certificates = folder / "certificates"
        self.authority = pki.Authority(certificates)
        self.admin = self.authority.issue("admin", groups=["system:masters"])
        served = self.authority.issue("apiserver", hosts=["127.0.0.1", "localhost", "kubernetes.default.svc"])
        proxy = self.authority.issue("front-proxy-client")
        self.token_key = pki.write_key(ec.generate_private_key(ec.SECP256R1()), certificates / "tokens.key")
        self._audit = folder / "audit.jsonl"
        policy = folder / "audit-policy.yaml"
        policy.write_text(_AUDIT_POLICY, encoding="utf-8")
        super().__init__(
            "kube-apiserver",
            [
                str(kubernetes.build() / "kube-apiserver"),
                *(f"--etcd-servers={etcd_url}", "--bind-address=127.0.0.1", f"--secure-port={self.port}"),
                # Loopback is no address that endpoints of the Service `kubernetes` may have.
                *("--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none"),
                *(f"--tls-cert-file={served[0]}", f"--tls-private-key-file={served[1]}"),
                *(f"--client-ca-file={self.authority.certificate}", "--authorization-mode=Node,RBAC"),
                f"--service-account-issuer={ISSUER}",
                f"--service-account-key-file={self.token_key}",
                f"--service-account-signing-key-file={self.token_key}",
                *("--service-cluster-ip-range=10.96.0.0/16", "--allow-privileged=true"),
                "--enable-admission-plugins=NodeRestriction,PodSecurity",
                *(f"--audit-policy-file={policy}", f"--audit-log-path={self._audit}"),
                # What API services behind it (external metrics) know it by.
                f"--requestheader-client-ca-file={self.authority.certificate}",
                "--requestheader-allowed-names=front-proxy-client",
                *("--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group"),
                "--requestheader-extra-headers-prefix=X-Remote-Extra-",
                *(f"--proxy-client-cert-file={proxy[0]}", f"--proxy-client-key-file={proxy[1]}"),
                *args,
            ],
            folder=folder,
            is_ready=self._is_ready,
            ready_s=120.0,
        )

    def trust(self, identity: tuple[pathlib.Path, pathlib.Path] | None = None) -> ssl.SSLContext:
        """Return what a client verifies the server with, and proves itself by where it has a certificate."""
        context = ssl.create_default_context(cafile=str(self.authority.certificate))
        if identity is not None:
            context.load_cert_chain(*identity)
        return context

    def _is_ready(self) -> bool:
        try:
            answer = httpx2.get(f"{self.url}/readyz", verify=self.trust(self.admin), timeout=2, trust_env=False)
            return answer.status_code == 200
        except httpx2.HTTPError:
            return False

    def audit(self) -> Iterator[AuditEvent]:
        """Yield what was asked of the server so far, oldest first; a watch comes twice, begun and ended."""
        for line in self._audit.read_text(encoding="utf-8").splitlines(keepends=True):
            if line.endswith("\n"):
                yield _event(line)


def _event(line: str) -> AuditEvent:
    noted = json.loads(line)
    about = noted.get("objectRef", {})
    resource = "/".join(part for part in (about.get("resource"), about.get("subresource")) if part)
    return AuditEvent(
        at_s=datetime.datetime.fromisoformat(noted["requestReceivedTimestamp"]).timestamp(),
        user=noted["user"].get("username", ""),
        agent=noted.get("userAgent", ""),
        verb=noted["verb"],
        resource=resource,
        namespace=about.get("namespace", ""),
        name=about.get("name", ""),
        code=noted.get("responseStatus", {}).get("code", 0),
        request=noted.get("requestObject"),
        response=noted.get("responseObject"),
    )
