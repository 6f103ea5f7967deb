"use strict";
/**
 * The storage service's CRC-64 (reflected polynomial 0x9A6C9329AC4BC9B5, all ones in and out),
 * eight bytes a step. 64-bit values are kept as (high, low) pairs of 32 bits: BigInt is too slow.
 */
const POLYNOMIAL_HIGH = 0x9a6c9329;
const POLYNOMIAL_LOW = 0xac4bc9b5;
const HIGH = new Uint32Array(8 * 256);
const LOW = new Uint32Array(8 * 256);

for (let byte = 0; byte < 256; byte++) {
  let [high, low] = [0, byte];
  for (let bit = 0; bit < 8; bit++) {
    const odd = low & 1;
    low = ((low >>> 1) | (high << 31)) >>> 0;
    high >>>= 1;
    if (odd) {
      high = (high ^ POLYNOMIAL_HIGH) >>> 0;
      low = (low ^ POLYNOMIAL_LOW) >>> 0;
    }
  }
  HIGH[byte] = high;
  LOW[byte] = low;
}
for (let i = 256; i < HIGH.length; i++) {
  const [high, low] = [HIGH[i - 256], LOW[i - 256]];
  HIGH[i] = (high >>> 8) ^ HIGH[low & 255];
  LOW[i] = ((low >>> 8) | (high << 24)) ^ LOW[low & 255];
}

class Crc64 {
  constructor() {
    this.high = -1;
    this.low = -1;
  }

  update(bytes) {
    let { high, low } = this;
    let i = 0;
    for (const whole = bytes.length - (bytes.length % 8); i < whole; i += 8) {
      low ^= bytes[i] | (bytes[i + 1] << 8) | (bytes[i + 2] << 16) | (bytes[i + 3] << 24);
      high ^= bytes[i + 4] | (bytes[i + 5] << 8) | (bytes[i + 6] << 16) | (bytes[i + 7] << 24);
      const a = 1792 + (low & 255);
      const b = 1536 + ((low >>> 8) & 255);
      const c = 1280 + ((low >>> 16) & 255);
      const d = 1024 + (low >>> 24);
      const e = 768 + (high & 255);
      const f = 512 + ((high >>> 8) & 255);
      const g = 256 + ((high >>> 16) & 255);
      const h = high >>> 24;
      high = HIGH[a] ^ HIGH[b] ^ HIGH[c] ^ HIGH[d] ^ HIGH[e] ^ HIGH[f] ^ HIGH[g] ^ HIGH[h];
      low = LOW[a] ^ LOW[b] ^ LOW[c] ^ LOW[d] ^ LOW[e] ^ LOW[f] ^ LOW[g] ^ LOW[h];
    }
    for (; i < bytes.length; i++) {
      const index = (low ^ bytes[i]) & 255;
      low = ((low >>> 8) | (high << 24)) ^ LOW[index];
      high = (high >>> 8) ^ HIGH[index];
    }
    this.high = high;
    this.low = low;
    return this;
  }

  /** Eight bytes, least significant first: the form of `x-ms-content-crc64`. */
  digest() {
    const bytes = Buffer.alloc(8);
    bytes.writeUInt32LE(~this.low >>> 0, 0);
    bytes.writeUInt32LE(~this.high >>> 0, 4);
    return bytes;
  }
}

module.exports = { Crc64 };
