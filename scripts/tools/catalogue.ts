/** A tool out of Debian packages, unpacked beside the system and never installed into it. */
export interface DebSource {
  readonly kind: 'deb';
  readonly packages: readonly string[];
  /** Debian suite; `system` is whatever suites the machine itself uses (for what is linked to its C library). */
  readonly suite: string;
  /** Programs for a newer C library than the machine's, which is one of the packages: they are started with that one. */
  readonly withOwnLibc?: readonly string[];
}

/** A tool built from an own small Go module, whose go.sum pins every source. */
export interface GoSource {
  readonly kind: 'go';
  /** Folder of the module, from the top of the checkout. */
  readonly module: string;
  readonly version: string;
  readonly commands: readonly string[];
  /** Variables that the linker sets, name → value. */
  readonly stamp: Readonly<Record<string, string>>;
  /** Files of the modules that are wanted beside the binaries. */
  readonly files?: readonly { readonly module: string; readonly path: string }[];
  /** What a person should expect of the first build. */
  readonly cost: string;
}

/** A tool out of npm packages, whose lock file pins every one of them by its hash. */
export interface NpmSource {
  readonly kind: 'npm';
  /** Folder with package.json and package-lock.json, from the top of the checkout. */
  readonly folder: string;
  readonly version: string;
  /** What a person should expect of the first installation. */
  readonly cost: string;
}

/** The root of a Debian system as an archive, for base images. */
export interface TreeSource {
  readonly kind: 'tree';
  readonly suite: string;
  /** What a person should expect of making it. */
  readonly cost: string;
}

/** One folder of the cache: `CACHE/NAME/VERSION-HASH`. */
export interface Bundle {
  readonly name: string;
  readonly source: DebSource | GoSource | NpmSource | TreeSource;
}

export interface Tool {
  readonly name: ToolName;
  /** Environment variable that names the binary and wins over everything else. */
  readonly env: string;
  readonly bundle: Bundle;
  /** The binary inside the bundle's folder. */
  readonly file: string;
  /** undefined = it is no program. */
  readonly versionArgs: readonly string[] | undefined;
  /** Lowest version that will do; undefined for a tool that does not say its own. */
  readonly minimum: readonly [major: number, minor: number] | undefined;
  /** Whether one in KUBEBUILDER_ASSETS or PATH is taken. Not for what the tests must know exactly. */
  readonly fromPath: boolean;
  /** Folders of the bundle with shared libraries that the system may lack. */
  readonly libraries?: readonly string[];
  /** Whether `ensure` without names brings it. */
  readonly always: boolean;
}

export type ToolName =
  | 'kube-apiserver'
  | 'kube-controller-manager'
  | 'etcd'
  | 'kubectl'
  | 'kubectl-1.29'
  | 'kubectl-1.31'
  | 'kubectl-1.36'
  | 'kustomize'
  | 'helm'
  | 'clients'
  | 'kustomize-controller'
  | 'promtool'
  | 'prometheus'
  | 'linux.uml'
  | 'rclone'
  | 'restic-0.14'
  | 'restic-0.18'
  | 'restic-0.19'
  | 'versitygw'
  | 'ganesha.nfsd'
  | 'crun'
  | 'mmdebstrap'
  | 'debian-tree'
  | 'busybox'
  | 'openclaw'
  | 'npm'
  | 'zsh'
  | 'sshd'
  | 'fish'
  | 'go';

const KUBE_VERSION = 'v1.34.4';
const COMPONENT_VERSION = 'k8s.io/component-base/version';

const kube: Bundle = {
  name: 'kube',
  source: {
    kind: 'go',
    module: 'e2e/tools/kube',
    version: KUBE_VERSION,
    commands: ['k8s.io/kubernetes/cmd/kube-apiserver', 'k8s.io/kubernetes/cmd/kube-controller-manager'],
    stamp: {
      [`${COMPONENT_VERSION}.gitVersion`]: KUBE_VERSION,
      [`${COMPONENT_VERSION}.gitMajor`]: '1',
      [`${COMPONENT_VERSION}.gitMinor`]: '34',
    },
    cost: 'about 6 minutes on 2 cores the first time, 150 MB of downloads',
  },
};

const VERSITYGW_VERSION = 'v1.8.0';

/** A server that verifies signatures, regions, policies and object lock, starts in milliseconds and needs no cluster. */
const versitygw: Bundle = {
  name: 'versitygw',
  source: {
    kind: 'go',
    module: 'e2e/tools/versitygw',
    version: VERSITYGW_VERSION,
    commands: ['github.com/versity/versitygw/cmd/versitygw'],
    stamp: { 'main.Version': VERSITYGW_VERSION },
    cost: 'about 1 minute on 2 cores the first time, 30 MB of downloads',
  },
};

const KUSTOMIZE_CONTROLLER = 'github.com/fluxcd/kustomize-controller';

const kustomizeController: Bundle = {
  name: 'kustomize-controller',
  source: {
    kind: 'go',
    module: 'e2e/tools/kustomize-controller',
    version: 'v1.7.3',
    commands: [KUSTOMIZE_CONTROLLER],
    stamp: {},
    files: [{ module: KUSTOMIZE_CONTROLLER, path: 'config/crd/bases/kustomize.toolkit.fluxcd.io_kustomizations.yaml' }],
    cost: 'about 4 minutes on 2 cores the first time, 200 MB of downloads',
  },
};

/** A kubectl of another age, from the modules that Kubernetes builds it of. */
const kubectl = (minor: number, version: string): Bundle => ({
  name: `kubectl-1.${minor}`,
  source: {
    kind: 'go',
    module: `e2e/tools/kubectl-1.${minor}`,
    version,
    commands: ['.'],
    stamp: {
      [`${COMPONENT_VERSION}.gitVersion`]: version,
      [`${COMPONENT_VERSION}.gitMajor`]: '1',
      [`${COMPONENT_VERSION}.gitMinor`]: String(minor),
    },
    cost: 'about 1 minute on 2 cores the first time, 40 MB of downloads',
  },
});

const HELM_VERSION = 'v3.19.5';

const helm: Bundle = {
  name: 'helm',
  source: {
    kind: 'go',
    module: 'e2e/tools/helm',
    version: HELM_VERSION,
    commands: ['helm.sh/helm/v3/cmd/helm'],
    stamp: {
      'helm.sh/helm/v3/internal/version.version': HELM_VERSION,
      // What `helm template` and `helm lint` take the cluster for.
      ...Object.fromEntries(
        ['pkg/chartutil', 'pkg/lint/rules'].flatMap((folder) => [
          [`helm.sh/helm/v3/${folder}.k8sVersionMajor`, '1'],
          [`helm.sh/helm/v3/${folder}.k8sVersionMinor`, '34'],
        ]),
      ),
    },
    cost: 'about 2 minutes on 2 cores the first time, 30 MB of downloads',
  },
};

const MULTIARCH = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu';

const deb = (suite: string, ...packages: readonly string[]): DebSource => ({ kind: 'deb', suite, packages });

/** The engine of backups, as a suite of Debian has it: what each of them can do differs. */
const restic = (minor: 14 | 18 | 19, suite: string): Tool => ({
  name: `restic-0.${minor}`,
  env: `RESTIC_0_${minor}`,
  bundle: { name: `restic-0.${minor}`, source: deb(suite, 'restic') },
  file: 'usr/bin/restic',
  versionArgs: ['version'],
  minimum: [0, minor],
  fromPath: false,
  always: true,
});

export const TOOLS: readonly Tool[] = [
  {
    name: 'kube-apiserver',
    env: 'KUBE_APISERVER',
    bundle: kube,
    file: 'kube-apiserver',
    versionArgs: ['--version'],
    minimum: [1, 32],
    fromPath: true,
    always: true,
  },
  {
    name: 'kube-controller-manager',
    env: 'KUBE_CONTROLLER_MANAGER',
    bundle: kube,
    file: 'kube-controller-manager',
    versionArgs: ['--version'],
    minimum: [1, 32],
    fromPath: true,
    always: true,
  },
  {
    // Debian 12's 3.4.23 lacks the progress notifications that kube-apiserver's watch cache asks for.
    name: 'etcd',
    env: 'ETCD',
    bundle: { name: 'etcd', source: deb('trixie', 'etcd-server') },
    file: 'usr/bin/etcd',
    versionArgs: ['--version'],
    minimum: [3, 5],
    fromPath: true,
    always: true,
  },
  {
    name: 'kubectl',
    env: 'KUBECTL',
    bundle: { name: 'kubectl', source: deb('trixie', 'kubectl') },
    file: 'usr/bin/kubectl',
    versionArgs: ['version', '--client'],
    minimum: [1, 29],
    fromPath: false,
    always: true,
  },
  {
    name: 'kubectl-1.29',
    env: 'KUBECTL_1_29',
    bundle: kubectl(29, 'v1.29.6'),
    file: 'kubectl-1.29',
    versionArgs: ['version', '--client'],
    minimum: [1, 29],
    fromPath: false,
    always: true,
  },
  {
    name: 'kubectl-1.31',
    env: 'KUBECTL_1_31',
    bundle: kubectl(31, 'v1.31.3'),
    file: 'kubectl-1.31',
    versionArgs: ['version', '--client'],
    minimum: [1, 31],
    fromPath: false,
    always: true,
  },
  {
    name: 'kubectl-1.36',
    env: 'KUBECTL_1_36',
    bundle: { name: 'kubectl-1.36', source: deb('sid', 'kubectl') },
    file: 'usr/bin/kubectl',
    versionArgs: ['version', '--client'],
    minimum: [1, 36],
    fromPath: false,
    always: true,
  },
  {
    name: 'kustomize',
    env: 'KUSTOMIZE',
    bundle: { name: 'kustomize', source: deb('trixie', 'kustomize') },
    file: 'usr/bin/kustomize',
    versionArgs: ['version'],
    // Debian's says "(devel)".
    minimum: undefined,
    fromPath: false,
    always: true,
  },
  {
    name: 'helm',
    env: 'HELM',
    bundle: helm,
    file: 'helm',
    versionArgs: ['version', '--short'],
    minimum: [3, 19],
    fromPath: false,
    always: true,
  },
  {
    // Programs with client-go: informers, leader election, kstatus. And Argo CD's interpreter of Lua.
    name: 'clients',
    env: 'CLIENTS',
    bundle: {
      name: 'clients',
      source: {
        kind: 'go',
        module: 'e2e/tools/clients',
        version: 'v0.34.4',
        commands: ['.'],
        stamp: {},
        cost: 'half a minute after kube-apiserver, whose compiled modules it shares',
      },
    },
    file: 'clients',
    versionArgs: ['version'],
    minimum: [0, 34],
    fromPath: false,
    always: true,
  },
  {
    // What applies a Git repository in Flux. It does not say its version.
    name: 'kustomize-controller',
    env: 'KUSTOMIZE_CONTROLLER',
    bundle: kustomizeController,
    file: 'kustomize-controller',
    versionArgs: ['--help'],
    minimum: undefined,
    fromPath: false,
    always: true,
  },
  {
    name: 'promtool',
    env: 'PROMTOOL',
    bundle: { name: 'promtool', source: deb('trixie', 'promtool') },
    file: 'usr/bin/promtool',
    versionArgs: ['--version'],
    minimum: [2, 42],
    fromPath: true,
    always: true,
  },
  {
    name: 'prometheus',
    env: 'PROMETHEUS',
    bundle: { name: 'prometheus', source: deb('trixie', 'prometheus') },
    file: 'usr/bin/prometheus',
    versionArgs: ['--version'],
    minimum: [2, 42],
    fromPath: true,
    always: true,
  },
  {
    name: 'versitygw',
    env: 'VERSITYGW',
    bundle: versitygw,
    file: 'versitygw',
    versionArgs: ['--version'],
    minimum: [1, 8],
    fromPath: false,
    always: true,
  },
  {
    // Older ones lack the socket and the calls on the upload queue; Debian 12 and 13 ship 1.60.
    name: 'rclone',
    env: 'RCLONE',
    bundle: { name: 'rclone', source: deb('sid', 'rclone') },
    file: 'usr/bin/rclone',
    versionArgs: ['version'],
    minimum: [1, 68],
    fromPath: true,
    always: true,
  },
  restic(14, 'bookworm'),
  restic(18, 'trixie'),
  restic(19, 'sid'),
  {
    name: 'linux.uml',
    env: 'LINUX_UML',
    bundle: {
      name: 'user-mode-linux',
      source: { ...deb('sid', 'user-mode-linux', 'libc6'), withOwnLibc: ['usr/bin/linux.uml'] },
    },
    file: 'usr/bin/linux.uml',
    versionArgs: ['--version'],
    // Older ones trace every system call of a guest's programs, which takes four times as long.
    minimum: [6, 16],
    fromPath: true,
    always: false,
  },
  {
    name: 'ganesha.nfsd',
    env: 'GANESHA_NFSD',
    bundle: {
      name: 'nfs-ganesha',
      source: deb(
        'bookworm',
        'nfs-ganesha',
        'nfs-ganesha-vfs',
        'libntirpc4.3',
        'libwbclient0',
        'libnfsidmap1',
        'libdbus-1-3',
      ),
    },
    file: 'usr/bin/ganesha.nfsd',
    versionArgs: ['-v'],
    minimum: [4, 3],
    // What the tests expect of its words and of its configuration is this version's.
    fromPath: false,
    libraries: [`usr/lib/${MULTIARCH}`, 'usr/lib/ganesha'],
    always: false,
  },
  {
    // Starts containers as Docker and Kubernetes do: what they say of a bind's propagation is its word.
    name: 'crun',
    env: 'CRUN',
    bundle: { name: 'crun', source: deb('bookworm', 'crun', 'libyajl2') },
    file: 'usr/bin/crun',
    versionArgs: ['--version'],
    minimum: [1, 8],
    fromPath: false,
    libraries: [`usr/lib/${MULTIARCH}`],
    always: false,
  },
  {
    // Makes the root of a Debian system; older ones do not know how the one of Debian 13 is merged.
    name: 'mmdebstrap',
    env: 'MMDEBSTRAP',
    bundle: { name: 'mmdebstrap', source: deb('trixie', 'mmdebstrap') },
    file: 'usr/bin/mmdebstrap',
    versionArgs: ['--version'],
    minimum: [1, 5],
    fromPath: false,
    always: false,
  },
  {
    // The base image of the tests, in the place of one from a registry.
    name: 'debian-tree',
    env: 'DEBIAN_TREE',
    bundle: {
      name: 'debian-tree',
      source: { kind: 'tree', suite: 'trixie', cost: 'half a minute, 40 MB of downloads' },
    },
    file: 'tree.tar',
    versionArgs: undefined,
    minimum: undefined,
    fromPath: false,
    always: false,
  },
  {
    // With the client and its keys' maker beside it: usr/bin/ssh, usr/bin/ssh-keygen.
    name: 'sshd',
    env: 'SSHD',
    bundle: {
      name: 'openssh',
      source: deb(
        'bookworm',
        'openssh-server',
        'openssh-client',
        'libwrap0',
        'libnsl2',
        'libtirpc3',
        'libgssapi-krb5-2',
        'libkrb5-3',
        'libk5crypto3',
        'libkrb5support0',
        'libkeyutils1',
        'libcom-err2',
        'libedit2',
        'libfido2-1',
        'libcbor0.8',
        'libbsd0',
      ),
    },
    file: 'usr/sbin/sshd',
    // It says none when it ends well.
    versionArgs: undefined,
    minimum: undefined,
    fromPath: false,
    libraries: [`usr/lib/${MULTIARCH}`, `lib/${MULTIARCH}`],
    always: false,
  },
  {
    // Its completion, which the test of ours uses, lies beside it: usr/share/zsh.
    name: 'zsh',
    env: 'ZSH_BINARY',
    bundle: { name: 'zsh', source: deb('bookworm', 'zsh', 'zsh-common') },
    file: 'bin/zsh',
    versionArgs: ['--version'],
    minimum: [5, 9],
    fromPath: false,
    always: false,
  },
  {
    name: 'fish',
    env: 'FISH_BINARY',
    bundle: { name: 'fish', source: deb('bookworm', 'fish', 'fish-common', 'libpcre2-32-0') },
    file: 'usr/bin/fish',
    versionArgs: ['--version'],
    minimum: [3, 6],
    fromPath: false,
    libraries: [`usr/lib/${MULTIARCH}`],
    always: false,
  },
  {
    // What the containers of the tests have in them.
    name: 'busybox',
    env: 'BUSYBOX',
    bundle: { name: 'busybox', source: deb('bookworm', 'busybox-static') },
    file: 'bin/busybox',
    versionArgs: ['--help'],
    minimum: [1, 35],
    fromPath: false,
    always: false,
  },
  {
    // The gateway that relays our commands. What the tests expect of its words is this version's.
    name: 'openclaw',
    env: 'OPENCLAW',
    bundle: {
      name: 'openclaw',
      source: {
        kind: 'npm',
        folder: 'e2e/tools/openclaw',
        version: '2026.9.6',
        cost: 'about 1 minute on 2 cores the first time, 800 MB on disk',
      },
    },
    file: 'node_modules/openclaw/openclaw.mjs',
    versionArgs: ['--version'],
    minimum: [2026, 9],
    fromPath: false,
    always: true,
  },
  {
    // In the image in which the image of the product is built; that of the machine may be Debian's, which lies about in pieces.
    name: 'npm',
    env: 'NPM_CLI',
    bundle: {
      name: 'npm',
      source: { kind: 'npm', folder: 'e2e/tools/npm', version: '11.19.1', cost: 'a few seconds, 3 MB of downloads' },
    },
    file: 'node_modules/npm/bin/npm-cli.js',
    versionArgs: ['--version'],
    minimum: [11, 0],
    fromPath: false,
    always: false,
  },
  {
    name: 'go',
    env: 'GO',
    bundle: { name: 'go', source: deb('sid', 'golang-1.26-go', 'golang-1.26-src') },
    file: 'usr/lib/go-1.26/bin/go',
    versionArgs: ['version'],
    minimum: [1, 25],
    fromPath: true,
    always: false,
  },
];
