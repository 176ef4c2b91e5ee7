/** The name under which kubectl runs this binary, as help pages say it. */
export const PLUGIN_NAME = 'kubectl clawstore';
