/** An OpenAPI v2 document without definitions, in protobuf (gnostic `openapiv2.Document`): old kubectl only wants one. */
export function protobufV2(): Buffer {
  const info = message(2, Buffer.concat([field(1, 'Kubernetes'), field(2, 'unversioned')]));
  // The paths and definitions must be present, though empty.
  return Buffer.concat([field(1, '2.0'), info, message(8, Buffer.alloc(0)), message(9, Buffer.alloc(0))]);
}

function field(number: number, text: string): Buffer {
  return message(number, Buffer.from(text));
}

/** A length-delimited field shorter than 128 bytes. */
function message(number: number, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from([(number << 3) | 2, body.length]), body]);
}
