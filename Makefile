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
EXPANSION_STAMP := $(TOOLS)/expansion-$(BEAM_VERSION).stamp
BROKER_STAMP := $(TOOLS)/broker.stamp
PRISM_STAMP := $(TOOLS)/prism-$(BEAM_VERSION).stamp
BRIDGE_STAMP := $(BRIDGE)/node_modules/.installed

MAVEN = $(MVN) -B -s runners/settings.xml
PRISM_SOURCE := github.com/apache/beam/sdks/v2/go/cmd/prism@v$(BEAM_VERSION)
GO_INSTALL = GOBIN='$(CURDIR)/$(TOOLS)' $(GO) install -v $(PRISM_SOURCE)

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
	@echo 'beam-rtls (Apache Beam $(BEAM_VERSION)); needs python3 3.10+, java 17+ and mvn; go is of use, node and npm for the tests'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo 'run-direct: DURATION=60 SITE=anchors/demo.yaml TAGS=10 MODE=round|three SIMULATE="simulator options"'
	@echo '            KAFKA_PORT=19092 KAFKA_CONTROLLER_PORT=19093 EXPANSION_PORT=18097'
	@echo 'test:       ARGS="-k name"'

# --- what it takes -------------------------------------------------------------------------------------------------

.PHONY: venv jars prism setup
venv: $(VENV_STAMP) ## the virtual environment .venv with the package in it
jars: $(EXPANSION_STAMP) $(BROKER_STAMP) ## the Java side: Beam's expansion service with KafkaIO, and a Kafka broker
prism: $(PRISM_STAMP) ## Prism, Beam's local runner for streaming
setup: venv jars prism ## all of these

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

define need_java
@command -v $(JAVA) >/dev/null || $(call missing,$(1),$(JAVA) is missing: install a Java 17 runtime or later (Debian and Ubuntu: apt install openjdk-17-jdk))
@major=$$($(JAVA) -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p'); test "$${major:-0}" -ge 17 \
	|| $(call missing,$(1),$(JAVA) is too old: Kafka needs Java 17 or later (Debian and Ubuntu: apt install openjdk-17-jdk))
@command -v $(MVN) >/dev/null || $(call missing,$(1),$(MVN) is missing: install Apache Maven 3.6.3 or later (Debian and Ubuntu: apt install maven))
@mkdir -p $(LOGS)
endef

$(EXPANSION_STAMP): runners/flink/pom.xml runners/settings.xml
	$(call need_java,expansion)
	@$(call say,expansion,building the Java expansion service (the first time Maven fetches some 1000 files))
	@$(MAVEN) -f runners/flink/pom.xml -Dbeam.version=$(BEAM_VERSION) package 2>&1 \
		| $(call counted,expansion,Downloaded from,files fetched) || $(call see_log,expansion)
	@mv runners/flink/target/beam-rtls-expansion-$(BEAM_VERSION).jar $(TOOLS)/expansion.jar
	@rm -rf runners/flink/target $(TOOLS)/expansion-*.stamp
	@touch $@
	@$(call say,expansion,done)

# After the other one: two Mavens at once may spoil the files that both of them fetch.
$(BROKER_STAMP): runners/direct/pom.xml runners/settings.xml | $(EXPANSION_STAMP)
	$(call need_java,broker)
	@$(call say,broker,collecting the jars of the Kafka broker)
	@rm -rf $(TOOLS)/broker
	@$(MAVEN) -f runners/direct/pom.xml '-Dbroker.jars=$(CURDIR)/$(TOOLS)/broker' package 2>&1 \
		| $(call counted,broker,Downloaded from,files fetched) || $(call see_log,broker)
	@touch $@
	@$(call say,broker,done)

# Go checks what it fetches against a checksum database. Where only that is out of reach, it is done without and said;
# a checksum that does not match stays an error.
$(PRISM_STAMP):
	@mkdir -p $(LOGS)
	@rm -f $(TOOLS)/prism $(TOOLS)/prism-*.stamp
	@if ! command -v $(GO) >/dev/null; then \
		$(call say,prism,$(GO) is missing: Beam will fetch Prism from its release page at the first run); \
		exit 0; \
	fi; \
	$(call say,prism,building Prism $(BEAM_VERSION) (minutes the first time)); \
	if ! $(GO_INSTALL) 2>&1 | $(call counted,prism,,steps); then \
		grep -qF "/$$($(GO) env GOSUMDB)" $(LOGS)/prism.log && ! grep -q 'SECURITY ERROR' $(LOGS)/prism.log \
			|| $(call see_log,prism); \
		$(call say,prism,note: the checksum database is out of reach; building without checking against it); \
		GONOSUMDB='*' $(GO_INSTALL) 2>&1 | $(call counted,prism,,steps) || $(call see_log,prism); \
	fi; \
	touch $@; \
	$(call say,prism,done)

$(BRIDGE_STAMP): $(BRIDGE)/package.json
	@command -v $(NPM) >/dev/null || $(call missing,bridge,$(NPM) is missing: the tests read the output as the Node bridge does; install Node 18 or later with npm)
	@$(call say,bridge,installing kafkajs)
	@cd $(BRIDGE) && $(NPM) install --no-package-lock --no-audit --no-fund --loglevel=error
	@touch $@

# --- what to do with it --------------------------------------------------------------------------------------------

.PHONY: run-direct test lint
run-direct: setup ## Kafka, simulator, pipeline and a live table; until Ctrl-C or for DURATION seconds
	@exec $(VENV_PYTHON) -m runners.direct $(ARGS)

test: setup $(BRIDGE_STAMP) | $(filter lint,$(MAKECMDGOALS)) ## all tests, those on real Kafka too
	@$(VENV_PYTHON) -m pytest $(ARGS)

lint: venv ## ruff and mypy
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy

.PHONY: clean distclean
clean: ## remove what building and testing leave behind
	@rm -rf build dist *.egg-info runners/*/target .pytest_cache .mypy_cache .ruff_cache .hypothesis $(TOOLS)/run-direct
	@find . -path ./$(VENV) -prune -o -path ./$(BRIDGE)/node_modules -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## remove the virtual environment and all tools as well
	@rm -rf $(VENV) $(TOOLS) $(BRIDGE)/node_modules pipeline/wire/*_pb2.py pipeline/wire/*_pb2.pyi
