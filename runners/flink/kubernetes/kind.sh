#!/usr/bin/env bash
# A local Kubernetes of one node with everything in it: the Flink operator, Kafka, a simulated site, and the chart.
set -euo pipefail

readonly CLUSTER=beam-rtls
readonly NAMESPACE=beam-rtls
readonly RELEASE=beam-rtls
readonly VERSION=0.1.0
readonly FLINK_IMAGE=beam-rtls-flink:$VERSION
readonly WORKER_IMAGE=beam-rtls-worker:$VERSION
readonly KAFKA=kafka.kafka.svc.cluster.local:9092
readonly OPERATOR_VERSION=1.7.0
readonly OPERATOR_CHART=https://archive.apache.org/dist/flink/flink-kubernetes-operator-$OPERATOR_VERSION/flink-kubernetes-operator-$OPERATOR_VERSION-helm.tgz
readonly CERT_MANAGER=https://github.com/cert-manager/cert-manager/releases/download/v1.21.2/cert-manager.yaml
readonly CONTEXT=kind-$CLUSTER

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$HERE/../../.." && pwd)
readonly HERE ROOT
readonly IMAGES=$ROOT/build/images
readonly BIN=$ROOT/.venv/bin

usage() {
  cat <<TEXT
usage: kind.sh [up | down]

up    make a kind cluster, build both images, install cert-manager, the Flink operator, Kafka with a simulated site,
      and the chart; return when the job runs (the default). For a job that was changed: down, then up
down  remove the cluster, with all that is in it

Needed: docker, kind, kubectl, helm; and from \`make setup\`: .venv and .tools/beam.jar. About 8 GB of memory.
TEXT
}

say() { printf '[kind] %s\n' "$*"; }
die() { printf '[kind] %s\n' "$*" >&2; exit 1; }
kube() { kubectl --context "$CONTEXT" "$@"; }
helm_in() { helm --kube-context "$CONTEXT" "$@"; }

# Name all of these tools that are missing, and how to get them.
require_tools() {
  local missing=0 tool how
  while read -r tool how; do
    if [[ " $* " == *" $tool "* ]] && ! command -v "$tool" >/dev/null; then
      printf '[kind] %s is missing: %s\n' "$tool" "$how" >&2
      missing=1
    fi
  done <<TOOLS
docker install Docker Engine or Docker Desktop, https://docs.docker.com/get-docker
kind go install sigs.k8s.io/kind@v0.30.0, or https://kind.sigs.k8s.io
kubectl https://kubernetes.io/docs/tasks/tools
helm go install helm.sh/helm/v3/cmd/helm@v3.19.5, or https://helm.sh/docs/intro/install
TOOLS
  (( missing == 0 )) || exit 1
  docker info >/dev/null 2>&1 || die 'docker does not answer: start it, and see that you may use it (docker info)'
}

require_setup() {
  [[ -x $BIN/beam-rtls && -f $ROOT/.tools/beam.jar ]] || die "run \`make setup\` in $ROOT first"
}

make_cluster() {
  if kind get clusters 2>/dev/null | grep -qx "$CLUSTER"; then
    say "cluster $CLUSTER is there"
  else
    say "making the cluster $CLUSTER"
    kind create cluster --name "$CLUSTER" --wait 180s
  fi
}

# The same steps as in README.md.
build_images() {
  local python_version
  python_version=$("$BIN/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  say 'building the job and the wheel'
  rm -rf "$IMAGES"
  mkdir -p "$IMAGES"
  "$BIN/beam-rtls" run --runner flink --java-jar "$ROOT/.tools/beam.jar" --anchors /etc/beam-rtls/site/site.yaml \
    --bootstrap-servers "$KAFKA" --output-jar "$IMAGES/job.jar"
  "$BIN/python" -m build --wheel --outdir "$IMAGES" "$ROOT"
  cp "$ROOT/constraints.txt" "$IMAGES"
  say 'building the images'
  docker build -f "$HERE/flink.Dockerfile" -t "$FLINK_IMAGE" "$IMAGES"
  docker build -f "$HERE/worker.Dockerfile" --build-arg "PYTHON_VERSION=$python_version" -t "$WORKER_IMAGE" "$IMAGES"
  kind load docker-image --name "$CLUSTER" "$FLINK_IMAGE" "$WORKER_IMAGE"
}

install_operator() {
  say 'installing cert-manager'
  kube apply -f "$CERT_MANAGER"
  kube -n cert-manager wait deployment --all --for=condition=Available --timeout=300s
  say "installing the Flink operator $OPERATOR_VERSION"
  helm_in upgrade --install flink-kubernetes-operator "$OPERATOR_CHART" --namespace flink-operator --create-namespace \
    --set image.repository=ghcr.io/apache/flink-kubernetes-operator --set "image.tag=$OPERATOR_VERSION" \
    --wait --timeout 5m
}

create_topic() {
  kube -n kafka exec deployment/kafka -- /opt/kafka/bin/kafka-topics.sh --bootstrap-server localhost:9092 \
    --create --if-not-exists --topic "$1" --partitions 1 --config message.timestamp.type=LogAppendTime
}

install_kafka() {
  local topic
  say 'installing Kafka and the simulated site'
  kube apply -f "$HERE/kind-kafka.yaml"
  kube -n kafka create configmap site --from-file "site.yaml=$ROOT/anchors/demo.yaml" --dry-run=client -o yaml \
    | kube apply -f -
  kube -n kafka rollout status deployment/kafka --timeout=300s
  for topic in packet_data packet_alive out_data out_rejected out_alive site_events; do
    create_topic "$topic"
  done
  kube -n kafka rollout restart deployment/simulator
}

install_chart() {
  say 'installing the chart'
  kube create namespace "$NAMESPACE" --dry-run=client -o yaml | kube apply -f -
  # Kubernetes itself sees to it that no pod here may do more than the chart says.
  kube label namespace "$NAMESPACE" --overwrite pod-security.kubernetes.io/enforce=restricted
  helm_in upgrade --install "$RELEASE" "$HERE/chart" --namespace "$NAMESPACE" --values "$HERE/kind-values.yaml" \
    --set-file "site.map=$ROOT/anchors/demo.yaml" --timeout 6m
}

wait_until_running() {
  say 'waiting for the job'
  if ! kube -n "$NAMESPACE" wait "flinkdeployment/$RELEASE" --for=jsonpath='{.status.jobStatus.state}'=RUNNING \
    --timeout=600s; then
    kube -n "$NAMESPACE" get flinkdeployment,pods >&2
    kube -n "$NAMESPACE" get events --sort-by=.lastTimestamp >&2
    die 'the job does not run'
  fi
  say 'the job runs; positions come with'
  say "  kubectl --context $CONTEXT -n kafka exec deployment/kafka -- /opt/kafka/bin/kafka-console-consumer.sh" \
    '--bootstrap-server localhost:9092 --topic out_data'
}

up() {
  require_tools docker kind kubectl helm
  require_setup
  make_cluster
  build_images
  install_operator
  install_kafka
  install_chart
  wait_until_running
}

down() {
  require_tools docker kind
  kind delete cluster --name "$CLUSTER"
}

main() {
  if (( $# > 1 )); then
    usage >&2
    exit 2
  fi
  case ${1:-up} in
    up) up ;;
    down) down ;;
    -h | --help | help) usage ;;
    *) usage >&2; exit 2 ;;
  esac
}

main "$@"
