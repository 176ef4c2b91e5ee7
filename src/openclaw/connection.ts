/**
 * One connection to the gateway, from the challenge to the close. It answers the challenge, tells when the gateway has let
 * the node in, hands over events, and ends when either side wants it, when the gateway falls silent, or when it does not
 * get that far in time. It never tries again: {@link GatewayNode} does.
 */
import { WebSocket } from 'ws';
import type { Clock, Timer } from '../telemetry/clock.ts';
import {
  type Challenge,
  type GatewayError,
  type Hello,
  MAX_FRAME_BYTES,
  parseFrame,
  readChallenge,
  readHello,
  readShutdown,
  requestFrame,
} from './frames.ts';

/** How a connection ended. */
export interface ConnectionEnd {
  /** The gateway had let the node in. */
  readonly wasJoined: boolean;
  /** Close code of RFC 6455; 1006 where there was no close. */
  readonly code: number;
  /** For people. */
  readonly why: string;
  /** What the gateway said to `connect`, where it refused. */
  readonly refusal: GatewayError | undefined;
  /** Code of the operating system or of TLS, e.g. `ECONNREFUSED`, where the network failed. */
  readonly networkCode: string | undefined;
  /** It announced its shutdown and expects to be back after so many milliseconds. */
  readonly restartExpectedMs: number | undefined;
}

/** Durations in milliseconds. */
export interface ConnectionTuning {
  /** From the first byte until the gateway has let the node in, or has refused. */
  readonly handshakeMs: number;
  /** The gateway says that it lives every tick; after this many ticks without a word it is asked. */
  readonly silentTicks: number;
  /** How long it may take to answer that. */
  readonly answerMs: number;
  /** How long a close may take before the connection is cut. */
  readonly closeMs: number;
}

export interface ConnectionOptions {
  readonly url: string;
  readonly clock: Clock;
  readonly tuning: ConnectionTuning;
  /** Parameters of `connect`, made of the challenge. Each of its failures ends the connection. */
  readonly introduce: (challenge: Challenge) => Promise<unknown>;
  readonly onJoined: (hello: Hello) => void;
  /** Called for every event after the node was let in. It must not wait for anything: the gateway's pings come in between. */
  readonly onEvent: (event: string, payload: unknown) => void;
  /** Called for what is no frame of the protocol. */
  readonly onGarbage: (what: string) => void;
}

/** A gateway that lets the node in with words of another version. */
const OTHER_PROTOCOL: GatewayError = {
  code: 'PROTOCOL_MISMATCH',
  message: 'its greeting is of another version',
  detailCode: undefined,
  requestId: undefined,
  retryAfterMs: undefined,
};

const CONNECT_ID = 'connect';
const GOING_AWAY = 1001;
/** The close code that stands for "there was none" (RFC 6455, 7.4.1). */
const ABNORMAL = 1006;

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #socket: WebSocket;
  readonly #ended: Promise<ConnectionEnd>;
  #hello: Hello | undefined;
  #isIntroduced = false;
  #refusal: GatewayError | undefined;
  #networkCode: string | undefined;
  #restartExpectedMs: number | undefined;
  /** Why we end it, where we do. */
  #ownReason: string | undefined;
  #timer: Timer | undefined;
  #lastRequest = 0;

  /** Starts to connect. */
  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#socket = new WebSocket(options.url, {
      maxPayload: MAX_FRAME_BYTES,
      handshakeTimeout: options.tuning.handshakeMs,
      // Where it redirects to would be shown the credential too.
      followRedirects: false,
      // Answers are small, and the gateway is mostly near.
      perMessageDeflate: false,
    });
    this.#ended = this.#listen();
    this.#setTimer(options.tuning.handshakeMs, () => this.#giveUp('the gateway did not finish the handshake in time'));
  }

  /** Resolves when it has ended; never rejects. */
  get ended(): Promise<ConnectionEnd> {
    return this.#ended;
  }

  /** The node is in, and what is sent has somebody to go to. */
  get isJoined(): boolean {
    return this.#hello !== undefined && this.#socket.readyState === WebSocket.OPEN;
  }

  /** Largest frame that the gateway accepts, in bytes. */
  get maxPayload(): number {
    return this.#hello?.maxPayload ?? MAX_FRAME_BYTES;
  }

  /** Sends a request of which no answer is waited for; after the end it does nothing. */
  send(method: string, params: unknown): void {
    if (!this.isJoined) return;
    this.#lastRequest += 1;
    // A failure to write is followed by the close, which is handled.
    this.#socket.send(requestFrame(`r${this.#lastRequest}`, method, params), () => undefined);
  }

  /** Says goodbye; cuts the connection where the gateway does not answer that. */
  close(why: string): void {
    if (this.#ownReason !== undefined) return;
    this.#ownReason = why;
    if (this.#socket.readyState === WebSocket.CONNECTING) {
      this.#socket.terminate();
      return;
    }
    this.#socket.close(GOING_AWAY);
    this.#setTimer(this.#options.tuning.closeMs, () => this.#socket.terminate());
  }

  #listen(): Promise<ConnectionEnd> {
    const socket = this.#socket;
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      this.#heard();
      if (isBinary) this.#options.onGarbage(`a binary message of ${data.length} bytes`);
      else this.#read(data.toString('utf8'));
    });
    socket.on('ping', () => this.#heard());
    socket.on('pong', () => this.#heard());
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#networkCode ??= error.code;
      this.#ownReason ??= error.message === '' ? (error.code ?? 'the connection failed') : error.message;
    });
    return new Promise((resolve) => {
      socket.on('close', (code, reason) => {
        this.#timer?.cancel();
        const said = reason.toString('utf8');
        const byGateway = `the gateway closed the connection (${code}${said === '' ? '' : `: ${said}`})`;
        resolve({
          wasJoined: this.#hello !== undefined,
          code,
          why: this.#ownReason ?? (code === ABNORMAL ? 'the connection broke' : byGateway),
          refusal: this.#refusal,
          networkCode: this.#networkCode,
          restartExpectedMs: this.#restartExpectedMs,
        });
      });
    });
  }

  #read(text: string): void {
    const frame = parseFrame(text);
    if (frame === undefined) {
      this.#options.onGarbage(`a message of ${text.length} characters that is no frame`);
      return;
    }
    if (frame.type === 'res') {
      if (frame.id === CONNECT_ID && this.#isIntroduced && this.#hello === undefined) {
        this.#answered(frame.error, frame.payload);
      }
      return;
    }
    if (frame.event === 'connect.challenge') {
      void this.#introduce(readChallenge(frame.payload));
      return;
    }
    if (frame.event === 'shutdown') this.#restartExpectedMs = readShutdown(frame.payload) ?? 0;
    if (this.#hello !== undefined) this.#options.onEvent(frame.event, frame.payload);
  }

  async #introduce(challenge: Challenge | undefined): Promise<void> {
    if (this.#isIntroduced) return;
    if (challenge === undefined) {
      this.#options.onGarbage('a challenge without nonce or time');
      return;
    }
    this.#isIntroduced = true;
    try {
      const params = await this.#options.introduce(challenge);
      if (this.#socket.readyState === WebSocket.OPEN) {
        this.#socket.send(requestFrame(CONNECT_ID, 'connect', params), () => undefined);
      }
    } catch (thrown) {
      this.#giveUp(thrown instanceof Error ? thrown.message : String(thrown));
    }
  }

  #answered(refusal: GatewayError | undefined, payload: unknown): void {
    const hello = refusal === undefined ? readHello(payload) : undefined;
    if (hello === undefined) {
      this.#refusal = refusal ?? OTHER_PROTOCOL;
      this.close(this.#refusal.message);
      return;
    }
    this.#hello = hello;
    this.#heard();
    this.#options.onJoined(hello);
  }

  /** Whatever the gateway sends shows that it lives. */
  #heard(): void {
    if (this.#hello === undefined || this.#ownReason !== undefined) return;
    const { silentTicks, answerMs } = this.#options.tuning;
    const silenceMs = this.#hello.tickIntervalMs * silentTicks;
    this.#setTimer(silenceMs, () => {
      this.#socket.ping(undefined, undefined, () => undefined);
      this.#setTimer(answerMs, () => this.#giveUp('the gateway has fallen silent'));
    });
  }

  #giveUp(why: string): void {
    this.#ownReason ??= why;
    this.#socket.terminate();
  }

  #setTimer(delayMs: number, callback: () => void): void {
    this.#timer?.cancel();
    this.#timer = this.#options.clock.setTimer(delayMs, callback);
  }
}
