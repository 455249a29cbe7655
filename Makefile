# beam-rtls. Everything sets itself up: `make` lists what there is.
# Every variable here can also be given by the environment: `make run-direct TAGS=100` or `TAGS=100 make run-direct`.

SHELL := bash
.SHELLFLAGS := -o pipefail -ec
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Python packages, jars and Prism are fetched side by side; cleaning goes in the order it is asked for.
MAKEFLAGS += --jobs=3
ifneq ($(filter clean distclean,$(MAKECMDGOALS)),)
.NOTPARALLEL:
endif

PYTHON ?= python3
JAVA ?= java
MVN ?= mvn
GO ?= go
NPM ?= npm
ARGS ?=

# The one place where Beam is pinned is setup.py.
BEAM_VERSION := $(shell sed -n 's/^BEAM = "apache-beam==\(.*\)"$$/\1/p' setup.py)
VENV := .venv
VENV_PYTHON := $(VENV)/bin/python
TOOLS := .tools
LOGS := $(TOOLS)/logs
BRIDGE := tests/integration/bridge
export BEAM_RTLS_TOOLS := $(CURDIR)/$(TOOLS)

VENV_STAMP := $(VENV)/.installed
# Of the solver and the filter, compiled; it goes when what was compiled does (clean).
KERNELS_STAMP := $(VENV)/.compiled
JAVA_SIDE_STAMP := $(TOOLS)/beam-$(BEAM_VERSION).stamp
BROKER_STAMP := $(TOOLS)/broker.stamp
# Of the minor version that Beam's runner is built for: it goes to the pom as well.
FLINK_VERSION := 1.19.3
FLINK_STAMP := $(TOOLS)/flink-$(FLINK_VERSION).stamp
REPORTER_STAMP := $(TOOLS)/reporter.stamp
PRISM_STAMP := $(TOOLS)/prism-$(BEAM_VERSION).stamp
HELM_VERSION := 3.19.5
HELM_STAMP := $(TOOLS)/helm-$(HELM_VERSION).stamp
# Of Prometheus 3.16; its modules have a numbering of their own.
PROMTOOL_VERSION := 0.316.0
PROMTOOL_STAMP := $(TOOLS)/promtool-$(PROMTOOL_VERSION).stamp
OPERATOR_STAMP := $(TOOLS)/operator.stamp
BRIDGE_STAMP := $(BRIDGE)/node_modules/.installed
# What the benchmark measures beside the pipeline; each in an environment of its own.
PEERS := bare_loop quix bytewax pyflink
PEER_STAMPS := $(PEERS:%=$(TOOLS)/peers/%/.installed)
CONNECTOR_STAMP := $(TOOLS)/peers/connector.stamp

MAVEN = $(MVN) -B -s runners/settings.xml
PRISM_SOURCE := github.com/apache/beam/sdks/v2/go/cmd/prism@v$(BEAM_VERSION)
HELM_SOURCE := helm.sh/helm/v3/cmd/helm@v$(HELM_VERSION)
PROMTOOL_SOURCE := github.com/prometheus/prometheus/cmd/promtool@v$(PROMTOOL_VERSION)

# $(call say,what,text): one line of progress.   $(call missing,what,how): end with what is missing and how to get it.
say = echo '[$(1)] $(2)'
missing = { echo '[$(1)] $(2)' >&2; exit 1; }
# $(call counted,what,part,unit): of a long log show every 25th line with this part as a count; keep all in a file.
counted = tee '$(LOGS)/$(1).log' | { n=0; while IFS= read -r line; do \
	if [[ "$$line" == *'$(2)'* ]] && (( ++n % 25 == 0 )); then echo "[$(1)] $$n $(3)"; fi; done; }
# $(call see_log,what): end with the last lines of that file.
see_log = { tail -n 20 '$(LOGS)/$(1).log' >&2; echo '[$(1)] failed; the whole log is $(LOGS)/$(1).log' >&2; exit 1; }

.PHONY: help
help: ## this list
	@echo 'beam-rtls (Apache Beam $(BEAM_VERSION)); needs python3 3.10+, java 17+ and mvn; go is of use, for the tests it is needed, and so are node and npm'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo 'run-direct: DURATION=60 SITE=anchors/demo.yaml TAGS=10 MODE=round|three SIMULATE="simulator options"'
	@echo '            KAFKA_PORT=19092 KAFKA_CONTROLLER_PORT=19093 EXPANSION_PORT=18097'
	@echo 'run-flink:  the same, and PARALLELISM=2 BACKEND=hashmap|rocksdb SAVEPOINT=path'
	@echo '            FLINK_MASTER=host:port KAFKA_BOOTSTRAP=host:port KAFKA_OUT_BOOTSTRAP=host:port WORKER_POOL=host:port'
	@echo '            FLINK_PORT=18081 FLINK_RPC_PORT=16123 METRICS_PORT=19249 WORKER_POOL_PORT=50000'
	@echo 'faults, scenario, bench, bench-positioning: ARGS="--help" tells'
	@echo 'test:       ARGS="-k name"'

# --- what it takes -------------------------------------------------------------------------------------------------

.PHONY: venv jars flink prism kubernetes monitoring peers setup
venv: $(KERNELS_STAMP) ## the virtual environment .venv with the package in it, its solver and filter compiled
jars: $(JAVA_SIDE_STAMP) $(BROKER_STAMP) ## the Java side of Beam (KafkaIO, Flink runner), and a Kafka broker
flink: $(FLINK_STAMP) $(REPORTER_STAMP) ## a Flink distribution, with its Prometheus reporter
prism: $(PRISM_STAMP) ## Prism, Beam's local runner for streaming
kubernetes: $(HELM_STAMP) $(OPERATOR_STAMP) ## what the chart's tests take: Helm, and the Flink operator's own code
monitoring: $(PROMTOOL_STAMP) ## what the tests of Prometheus' files take: promtool
peers: $(PEER_STAMPS) $(CONNECTOR_STAMP) ## what the pipeline is measured beside: a bare loop, Quix Streams, Bytewax, PyFlink
setup: venv jars flink prism ## all that it takes to run

$(VENV_STAMP): setup.py pyproject.toml constraints.txt $(wildcard proto/*.proto)
	@command -v $(PYTHON) >/dev/null || $(call missing,venv,$(PYTHON) is missing: install Python 3.10 or later or name one with PYTHON=python3.11)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
		|| $(call missing,venv,$(PYTHON) is too old: install Python 3.10 or later or name one with PYTHON=python3.11)
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| $(call missing,venv,$(PYTHON) has no venv: install it (Debian and Ubuntu: apt install python3-venv))
	@$(call say,venv,installing the package and what it needs into $(VENV))
	@test -x $(VENV_PYTHON) || $(PYTHON) -m venv $(VENV)
	@mkdir -p $(LOGS)
	@$(VENV_PYTHON) -m pip install --disable-pip-version-check --progress-bar off \
		-c constraints.txt -e '.[demo,test,lint]' 2>&1 | tee $(LOGS)/venv.log \
		| while IFS= read -r line; do case "$$line" in *Downloading*|Building*|Installing*|Successfully*) \
			echo "[venv] $${line:0:90}";; esac; done \
		|| $(call see_log,venv)
	@touch $@

# What a change of makes them new is what pipeline/positioning/compiled.py looks at.
$(KERNELS_STAMP): $(VENV_STAMP) $(wildcard pipeline/positioning/*.py pipeline/site*.py)
	@mkdir -p $(LOGS)
	@$(call say,venv,compiling the grouping and the solver and the filter (a minute the first time))
	@$(VENV_PYTHON) -m pipeline.positioning.warm_up >$(LOGS)/kernels.log 2>&1 || $(call see_log,kernels)
	@touch $@

define need_java
@command -v $(JAVA) >/dev/null || $(call missing,$(1),$(JAVA) is missing: install a Java 17 runtime or later (Debian and Ubuntu: apt install openjdk-17-jdk))
@major=$$($(JAVA) -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p'); test "$${major:-0}" -ge 17 \
	|| $(call missing,$(1),$(JAVA) is too old: Kafka needs Java 17 or later (Debian and Ubuntu: apt install openjdk-17-jdk))
@command -v $(MVN) >/dev/null || $(call missing,$(1),$(MVN) is missing: install Apache Maven 3.6.3 or later (Debian and Ubuntu: apt install maven))
@mkdir -p $(LOGS)
endef

$(JAVA_SIDE_STAMP): runners/flink/pom.xml runners/settings.xml $(wildcard runners/flink/src/main/java/rtls/*.java)
	$(call need_java,beam)
	@$(call say,beam,building the Java side of Beam (the first time Maven fetches some 1000 files))
	@$(MAVEN) -f runners/flink/pom.xml -Dbeam.version=$(BEAM_VERSION) -Dflink.minor=$(basename $(FLINK_VERSION)) package 2>&1 \
		| $(call counted,beam,Downloaded from,files fetched) || $(call see_log,beam)
	@mv runners/flink/target/beam-rtls-java-$(BEAM_VERSION).jar $(TOOLS)/beam.jar
	@rm -rf runners/flink/target $(TOOLS)/beam-*.stamp
	@touch $@
	@$(call say,beam,done)

# After the other one: two Mavens at once may spoil the files that both of them fetch.
$(BROKER_STAMP): runners/direct/pom.xml runners/settings.xml | $(JAVA_SIDE_STAMP)
	$(call need_java,broker)
	@$(call say,broker,collecting the jars of the Kafka broker)
	@rm -rf $(TOOLS)/broker
	@$(MAVEN) -f runners/direct/pom.xml '-Dbroker.jars=$(CURDIR)/$(TOOLS)/broker' package 2>&1 \
		| $(call counted,broker,Downloaded from,files fetched) || $(call see_log,broker)
	@touch $@
	@$(call say,broker,done)

# The Python package is a whole Flink distribution; what it takes to run are its jars.
$(FLINK_STAMP): | $(VENV_STAMP)
	@mkdir -p $(LOGS)
	@rm -rf $(TOOLS)/flink $(TOOLS)/flink-*.stamp $(TOOLS)/flink-download
	@$(call say,flink,fetching Flink $(FLINK_VERSION) (230 MB))
	@$(VENV_PYTHON) -m pip download --disable-pip-version-check --progress-bar off --no-deps --no-binary ':all:' \
		-d $(TOOLS)/flink-download apache-flink-libraries==$(FLINK_VERSION) >$(LOGS)/flink.log 2>&1 || $(call see_log,flink)
	@tar -xzf $(TOOLS)/flink-download/*.tar.gz -C $(TOOLS)/flink-download
	@mv $(TOOLS)/flink-download/*/deps/lib $(TOOLS)/flink
	@rm -rf $(TOOLS)/flink-download
	@touch $@
	@$(call say,flink,done)

# After the others: two Mavens at once may spoil the files that both of them fetch.
$(REPORTER_STAMP): runners/flink/monitoring/pom.xml runners/settings.xml $(FLINK_STAMP) | $(BROKER_STAMP)
	$(call need_java,reporter)
	@$(call say,reporter,fetching the Prometheus reporter of Flink)
	@rm -f $(TOOLS)/flink/flink-metrics-prometheus-*.jar
	@$(MAVEN) -f runners/flink/monitoring/pom.xml '-Dreporter.jars=$(CURDIR)/$(TOOLS)/flink' package 2>&1 \
		| $(call counted,reporter,Downloaded from,files fetched) || $(call see_log,reporter)
	@touch $@
	@$(call say,reporter,done)

# Go checks what it fetches against a checksum database. Where only that is out of reach, it is done without and said;
# a checksum that does not match stays an error.
# $(call go_build,what,source): a Go program into .tools; the source may have flags before it.
go_install = GOBIN='$(CURDIR)/$(TOOLS)' $(GO) install -v $(1)
define go_build
if ! $(call go_install,$(2)) 2>&1 | $(call counted,$(1),,steps); then \
	grep -qF "/$$($(GO) env GOSUMDB)" $(LOGS)/$(1).log && ! grep -q 'SECURITY ERROR' $(LOGS)/$(1).log \
		|| $(call see_log,$(1)); \
	$(call say,$(1),note: the checksum database is out of reach; building without checking against it); \
	GONOSUMDB='*' $(call go_install,$(2)) 2>&1 | $(call counted,$(1),,steps) || $(call see_log,$(1)); \
fi
endef

$(PRISM_STAMP):
	@mkdir -p $(LOGS)
	@rm -f $(TOOLS)/prism $(TOOLS)/prism-*.stamp
	@if ! command -v $(GO) >/dev/null; then \
		$(call say,prism,$(GO) is missing: Beam will fetch Prism from its release page at the first run); \
		exit 0; \
	fi; \
	$(call say,prism,building Prism $(BEAM_VERSION) (minutes the first time)); \
	$(call go_build,prism,$(PRISM_SOURCE)); \
	touch $@; \
	$(call say,prism,done)

# After Prism: two builds at once would only be in each other's way.
$(HELM_STAMP): | $(PRISM_STAMP)
	@mkdir -p $(LOGS)
	@rm -f $(TOOLS)/helm $(TOOLS)/helm-*.stamp
	@command -v $(GO) >/dev/null || $(call missing,helm,$(GO) is missing: the tests render the Helm chart; install Go 1.21 or later (Debian and Ubuntu: apt install golang) or name one with GO=go1.24)
	@$(call say,helm,building Helm $(HELM_VERSION) (minutes the first time))
	@$(call go_build,helm,$(HELM_SOURCE))
	@touch $@
	@$(call say,helm,done)

# After Helm, for the same reason. Ways to find what to scrape, of which one is used, would be half of the program.
$(PROMTOOL_STAMP): | $(HELM_STAMP)
	@mkdir -p $(LOGS)
	@rm -f $(TOOLS)/promtool $(TOOLS)/promtool-*.stamp
	@command -v $(GO) >/dev/null || $(call missing,promtool,$(GO) is missing: the tests check alert rules with promtool; install Go 1.21 or later (Debian and Ubuntu: apt install golang) or name one with GO=go1.24)
	@$(call say,promtool,building promtool $(PROMTOOL_VERSION) (minutes the first time))
	@$(call go_build,promtool,-tags remove_all_sd $(PROMTOOL_SOURCE))
	@touch $@
	@$(call say,promtool,done)

# After the others: two Mavens at once may spoil the files that both of them fetch.
$(OPERATOR_STAMP): tests/kubernetes/pom.xml runners/settings.xml | $(REPORTER_STAMP)
	$(call need_java,operator)
	@$(call say,operator,collecting the jars of the Flink Kubernetes operator)
	@rm -rf $(TOOLS)/operator
	@$(MAVEN) -f tests/kubernetes/pom.xml '-Doperator.jars=$(CURDIR)/$(TOOLS)/operator' package 2>&1 \
		| $(call counted,operator,Downloaded from,files fetched) || $(call see_log,operator)
	@touch $@
	@$(call say,operator,done)

$(BRIDGE_STAMP): $(BRIDGE)/package.json
	@command -v $(NPM) >/dev/null || $(call missing,bridge,$(NPM) is missing: the tests read the output as the Node bridge does; install Node 18 or later with npm)
	@$(call say,bridge,installing kafkajs)
	@cd $(BRIDGE) && $(NPM) install --no-package-lock --no-audit --no-fund --loglevel=error
	@touch $@

# A peer that cannot be had costs itself: the others are measured without it. An old setuptools is what builds PyFlink.
$(PEER_STAMPS): $(TOOLS)/peers/%/.installed: benchmarks/peers/%/requirements.txt proto/message.proto | $(VENV_STAMP)
	@mkdir -p $(LOGS) $(TOOLS)/peers/$*/generated
	@$(call say,peers,setting up $*)
	@if $(PYTHON) -m venv --clear $(TOOLS)/peers/$*/venv \
		&& $(TOOLS)/peers/$*/venv/bin/python -m pip install --disable-pip-version-check --progress-bar off \
			-r benchmarks/peers/$*/requirements.txt >$(LOGS)/peer-$*.log 2>&1 \
		&& $(TOOLS)/peers/$*/venv/bin/python -m grpc_tools.protoc --proto_path=proto \
			--python_out=$(TOOLS)/peers/$*/generated proto/message.proto >>$(LOGS)/peer-$*.log 2>&1; \
	then touch $@; $(call say,peers,$* is there); \
	else rm -rf $(TOOLS)/peers/$*/venv; $(call say,peers,$* cannot be had here: $(LOGS)/peer-$*.log tells why); fi

# After the others: two Mavens at once may spoil the files that both of them fetch.
$(CONNECTOR_STAMP): benchmarks/peers/pyflink/pom.xml runners/settings.xml | $(REPORTER_STAMP)
	$(call need_java,connector)
	@$(call say,peers,fetching the Kafka connector of PyFlink)
	@rm -rf $(TOOLS)/peers/pyflink/jars
	@$(MAVEN) -f benchmarks/peers/pyflink/pom.xml '-Dconnector.jars=$(CURDIR)/$(TOOLS)/peers/pyflink/jars' package 2>&1 \
		| $(call counted,connector,Downloaded from,files fetched) || $(call see_log,connector)
	@touch $@

# --- what to do with it --------------------------------------------------------------------------------------------

.PHONY: run-direct run-flink faults scenario test bench bench-check bench-positioning lint
run-direct: venv jars prism ## Kafka, simulator, pipeline and a live table; until Ctrl-C or for DURATION seconds
	@exec $(VENV_PYTHON) -m runners.direct $(ARGS)

run-flink: venv jars flink ## the same on a real Flink cluster
	@exec $(VENV_PYTHON) -m runners.flink $(ARGS)

faults: venv jars flink ## kill what can be killed while readings stream in, and count what is lost (minutes)
	@exec $(VENV_PYTHON) -m runners.faults $(ARGS)

scenario: venv jars flink ## a day in the life of a site in minutes: every event has to come, once (minutes)
	@exec $(VENV_PYTHON) -m runners.scenario $(ARGS)

test: setup kubernetes monitoring $(BRIDGE_STAMP) | $(filter lint,$(MAKECMDGOALS)) ## all tests, those on real Kafka too
	@$(VENV_PYTHON) -m pytest $(ARGS)

bench: setup peers ## the pipeline beside a bare loop and its peers, on real Kafka (two hours; ARGS=--short: minutes)
	@exec $(VENV_PYTHON) -m benchmarks $(ARGS)

bench-check: setup peers ## before a release: a short run of it, held to thresholds (minutes)
	@exec $(VENV_PYTHON) -m benchmarks --check $(ARGS)

bench-positioning: venv ## how long grouping, solving and tracking take a reading, on one core
	@exec $(VENV_PYTHON) -m benchmarks.positioning $(ARGS)

lint: $(VENV_STAMP) ## ruff and mypy
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy

.PHONY: clean distclean
clean: ## remove what building and testing leave behind
	@rm -rf build dist *.egg-info runners/*/target .pytest_cache .mypy_cache .ruff_cache .hypothesis $(TOOLS)/run-* $(TOOLS)/faults $(TOOLS)/scenario $(TOOLS)/bench $(TOOLS)/flink-state $(KERNELS_STAMP)
	@find . -path ./$(VENV) -prune -o -path ./$(BRIDGE)/node_modules -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## remove the virtual environment and all tools as well
	@rm -rf $(VENV) $(TOOLS) $(BRIDGE)/node_modules pipeline/wire/*_pb2.py pipeline/wire/*_pb2.pyi
