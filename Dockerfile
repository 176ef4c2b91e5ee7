# The image of clawstore, for controllers, agents and mount holders alike: docs/install.md says how to build it.
#
# BASE is Debian 13 or newer, NODE the same with Node 24 and npm. What both are called where you build is for you to say.
ARG BASE=debian:trixie-slim
ARG NODE=node:24-trixie-slim

# The bundle, the Node that the tests run on, and the one package that stays outside of the bundle.
FROM ${NODE} AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
# Behind a proxy with an authority of its own: --secret id=ca,src=/etc/ssl/certs/ca-certificates.crt
RUN --mount=type=secret,id=ca,target=/run/ca.crt \
    if [ -e /run/ca.crt ]; then export NODE_EXTRA_CA_CERTS=/run/ca.crt; fi \
 && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
RUN mkdir -p /packages/@koromix \
 && cp -a node_modules/koffi /packages/ \
 && cp -a node_modules/@koromix/koffi-linux-* /packages/@koromix/ \
 && for package in node_modules/node-linux-*; do \
      mkdir -p "/packages/${package#*/}/bin" \
      && cp -a "$package/package.json" "$package/LICENSE" "/packages/${package#*/}/" \
      && cp -a "$package/bin/node" "/packages/${package#*/}/bin/"; \
    done
COPY tsconfig.json LICENSE ./
COPY scripts/build.ts scripts/builtin-imports.ts scripts/
COPY bin bin
COPY crds crds
COPY src src
RUN node scripts/build.ts \
 && mkdir /program \
 && cp -a package.json LICENSE bin crds dist /program/ \
 && rm -f /program/dist/*.map

# The rclone of Debian 13 lacks what s3 volumes need. Its program brings all of its libraries but the C library.
FROM ${BASE} AS rclone
ARG RCLONE_SUITE=sid
RUN apt-get -qq update \
 && mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -m 1 '/debian/$') \
 && rm -rf /etc/apt/sources.list.d/* \
 && echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $RCLONE_SUITE main" >/etc/apt/sources.list \
 && apt-get -qq update \
 && cd /tmp && apt-get -qq download rclone \
 && dpkg-deb -x rclone_*.deb /unpacked

FROM ${BASE}
ARG DEBIAN_FRONTEND=noninteractive
# What a volume of each type, a snapshot and a backup run (clawstore doctor says what is missing). Daemons that come along are
# not started, also not now. Who needs root has it already: no program gives it to others.
RUN printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d \
 && apt-get -qq update \
 && apt-get -qq install -y --no-install-recommends \
      btrfs-progs ca-certificates e2fsprogs fuse3 mount nfs-common restic tini util-linux xfsprogs >/dev/null \
 && rm -rf /usr/sbin/policy-rc.d /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/* /var/log/* \
      /usr/share/doc/* /usr/share/info/* /usr/share/locale/* /usr/share/man/* \
 && echo 'clawstore:x:65532:65532::/nonexistent:/usr/sbin/nologin' >>/etc/passwd \
 && echo 'clawstore:x:65532:' >>/etc/group \
 && find / -xdev -type f -perm /6000 -exec chmod ug-s {} + \
 && ln -s /opt/clawstore/bin/clawstore /usr/local/bin/clawstore
COPY --from=rclone /unpacked/usr/bin/rclone /usr/bin/rclone
COPY --from=build /packages /opt/clawstore/node_modules
COPY --from=build /program /opt/clawstore
# Controllers and commands need no more; the pods of agents and mount holders ask for root.
USER 65532:65532
# Reaps what the processes behind s3 mounts leave, where this is the first process of a container. Pods name their command.
ENTRYPOINT ["tini", "--", "clawstore"]
CMD ["--help"]
