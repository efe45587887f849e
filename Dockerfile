# The image of the service: the host, and the component compiled ahead of time. `deploy/build-image` builds it;
# docs/container-image.md describes it, and `cargo xtask image` checks that description.
#
# The build machine must have the target architecture: `uname -m` selects it. There is no `# syntax=` line: builders would
# fetch the frontend that it names, and this file does not need one.

# The version must match rust-toolchain.toml; `cargo xtask infra` compares them.
ARG BUILD_BASE=docker.io/library/rust:1.95.0-slim-trixie@sha256:e14e87345b4d5964ddcc3491d27ee046a0f23820f340c3c1e24da6880141f7c0
# checkov:skip=CKV_DOCKER_7: both base images are named by digest; checkov does not resolve arguments
ARG RUN_BASE=gcr.io/distroless/static-debian13:nonroot@sha256:e2e927ec666bae08560abb3c55d0659eceabb657f56b6782ab500a9fc7f555e3

FROM $BUILD_BASE AS tools
# Use the base image's toolchain: rust-toolchain.toml also requests components that only the checks need.
# Fix the date, because mimalloc writes its compilation date into the program and builds have to be reproducible.
ENV RUSTUP_TOOLCHAIN=$RUST_VERSION \
  SOURCE_DATE_EPOCH=0
# hadolint ignore=DL3008 # Debian stable has one version at a time: a pinned version would disappear one day.
RUN apt-get update \
  && apt-get install --yes --no-install-recommends musl-tools \
  && rm -rf /var/lib/apt/lists/*
RUN rustup target add wasm32-unknown-unknown "$(uname -m)-unknown-linux-musl"
RUN cargo install --locked cargo-chef@0.1.78
WORKDIR /source

# The workspace's dependencies without its sources: this layer changes only when they change.
FROM tools AS plan
COPY . .
RUN cargo chef prepare --recipe-path /recipe.json

FROM tools AS host
COPY --from=plan /recipe.json /recipe.json
RUN cargo chef cook --recipe-path /recipe.json --locked \
  --package orders-host --no-default-features --profile image --target "$(uname -m)-unknown-linux-musl"
COPY . .
# RELR stores relocations in a twentieth of the space. (A flag for the last link step only; the dependencies are built.)
RUN cargo rustc --locked --package orders-host --bin orders-host \
  --no-default-features --profile image --target "$(uname -m)-unknown-linux-musl" \
  -- -C link-arg=-Wl,-z,pack-relative-relocs \
  && install -D "target/$(uname -m)-unknown-linux-musl/image/orders-host" /app/orders-host

FROM tools AS component
COPY --from=plan /recipe.json /recipe.json
# As `cargo xtask component` builds them: xtask alone, and the encoder with the features of the whole workspace.
RUN cargo chef cook --recipe-path /recipe.json --locked --package xtask \
  && cargo chef cook --recipe-path /recipe.json --locked --workspace --bin orders-componentize
COPY . .
RUN cargo xtask component

# The contents of /app. It includes the certificate authorities of the database if the repository has them.
FROM tools AS app
COPY --from=host /app /app
COPY --from=component /source/target/dist/orders.wasm /orders.wasm
RUN /app/orders-host compile /orders.wasm --output /app/orders.cwasm --target "$(uname -m)-unknown-linux-musl"
COPY . .
RUN if [ -e deploy/certificates/rds-ca.pem ]; then install -m 444 deploy/certificates/rds-ca.pem /app/rds-ca.pem; fi \
  && chmod 555 /app /app/orders-host \
  && chmod 444 /app/orders.cwasm

FROM $RUN_BASE
LABEL org.opencontainers.image.title="orders" \
  org.opencontainers.image.description="The orders service: a host for a wasi:http component, and that component" \
  org.opencontainers.image.licenses="Apache-2.0"
COPY --from=app /app /app
WORKDIR /app
# Options that depend on the environment are not set here, above all ORDERS_STORE.
ENV ORDERS_COMPONENT=/app/orders.cwasm \
  ORDERS_TRUST_COMPILED=true \
  ORDERS_LISTEN=0.0.0.0:8080 \
  ORDERS_LOG_FORMAT=json \
  ORDERS_SMOKE="GET /openapi.json 200;GET /api/v1/orders?limit=1 200"
# By number, because a runtime that verifies that the user is not root cannot resolve names.
USER 65532:65532
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["/app/orders-host", "healthcheck"]
ENTRYPOINT ["/app/orders-host"]
CMD ["serve"]
