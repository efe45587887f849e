# What stands in for docker.io/library/rust:VERSION-slim-trixie where no registry can be reached: Debian, and this machine's
# toolchain and authorities (there may be a proxy's among them). Made by `cargo xtask image`, which makes debian.tar by
# mmdebstrap and names the folders.
#
# hadolint global ignore=DL3022 # What is copied from are folders of this machine, not stages.
# checkov:skip=CKV_DOCKER_2: no service, but what one is built in
# checkov:skip=CKV_DOCKER_3: no service, but what one is built in
# checkov:skip=CKV_DOCKER_4: ADD unpacks the archive
FROM scratch
ARG RUST_VERSION
ARG TOOLCHAIN
ADD debian.tar /
COPY --from=trust ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=rustup rustup /usr/local/cargo/bin/rustup
COPY --from=toolchain bin /usr/local/rustup/toolchains/$TOOLCHAIN/bin
COPY --from=toolchain lib /usr/local/rustup/toolchains/$TOOLCHAIN/lib
ENV RUSTUP_HOME=/usr/local/rustup \
  CARGO_HOME=/usr/local/cargo \
  PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
  RUST_VERSION=$RUST_VERSION
RUN for program in cargo rustc; do ln -s rustup "/usr/local/cargo/bin/$program"; done
