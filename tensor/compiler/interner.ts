/** Something that 32-bit words are written to. */
export interface WordSink {
  add(word: number): void;
}

/** A sequence of 32-bit words that can be compared with another. */
export class WordList implements WordSink {
  #words = new Int32Array(1 << 10);
  #end = 0;

  add(word: number): void {
    if (this.#end === this.#words.length) this.#words = enlarged(this.#words);
    this.#words[this.#end++] = word;
  }

  equals(other: WordList): boolean {
    if (this.#end !== other.#end) return false;
    for (let i = 0; i < this.#end; i++) if (this.#words[i] !== other.#words[i]) return false;
    return true;
  }
}

/** Adds a list of numbers after its length, so that no list can be confused with the words that follow it. */
export function addAll(sink: WordSink, words: readonly number[]): void {
  sink.add(words.length);
  for (let i = 0; i < words.length; i++) sink.add(words[i] as number);
}

/** Adds the bits of a double. */
export function addFloat(sink: WordSink, value: number): void {
  float[0] = value;
  sink.add(bits[0] as number);
  sink.add(bits[1] as number);
}

/**
 * Gives equal sequences of words equal numbers, counted from 0. A sequence is written word by word and then closed, which
 * returns its number. Long descriptions are compared by comparing these numbers.
 */
export class Interner implements WordSink {
  #words = new Int32Array(1 << 10);
  #end = 0;
  /** Where each sequence begins; the last one is being written. */
  #starts = new Int32Array(1 << 8);
  #hashes = new Int32Array(1 << 8);
  #count = 0;
  #hash = 0;
  /** A hash table with open addressing, at most half full. It holds numbers of sequences plus 1; 0 is an empty slot. */
  #table = new Int32Array(1 << 9);

  /** The number of distinct sequences. */
  get count(): number {
    return this.#count;
  }

  add(word: number): void {
    if (this.#end === this.#words.length) this.#words = enlarged(this.#words);
    this.#words[this.#end++] = word;
    const mixed = Math.imul(this.#hash ^ word, 0x9e3779b1);
    this.#hash = mixed ^ (mixed >>> 15);
  }

  /** Ends the sequence and returns its number; the next word begins another sequence. */
  close(): number {
    const hash = this.#hash;
    this.#hash = 0;
    const mask = this.#table.length - 1;
    let slot = hash & mask;
    for (let other = this.#table[slot] as number; other !== 0; other = this.#table[slot] as number) {
      if (this.#hashes[other - 1] === hash && this.#equalsCurrent(other - 1)) {
        this.#end = this.#starts[this.#count] as number;
        return other - 1;
      }
      slot = (slot + 1) & mask;
    }
    this.#hashes[this.#count] = hash;
    this.#table[slot] = ++this.#count;
    if (this.#count === this.#hashes.length) {
      this.#starts = enlarged(this.#starts);
      this.#hashes = enlarged(this.#hashes);
      this.#rehash();
    }
    this.#starts[this.#count] = this.#end;
    return this.#count - 1;
  }

  /** Whether a sequence equals the one that is being written. */
  #equalsCurrent(sequence: number): boolean {
    const start = this.#starts[sequence] as number;
    const current = this.#starts[this.#count] as number;
    const length = this.#end - current;
    if ((this.#starts[sequence + 1] as number) - start !== length) return false;
    for (let i = 0; i < length; i++) if (this.#words[start + i] !== this.#words[current + i]) return false;
    return true;
  }

  #rehash(): void {
    this.#table = new Int32Array(2 * this.#table.length);
    const mask = this.#table.length - 1;
    for (let sequence = 0; sequence < this.#count; sequence++) {
      let slot = (this.#hashes[sequence] as number) & mask;
      while (this.#table[slot] !== 0) slot = (slot + 1) & mask;
      this.#table[slot] = sequence + 1;
    }
  }

  /** The words of all sequences as one text, for keys of maps. It has no separators: the words must tell where each ends. */
  toString(): string {
    const units = new Uint16Array(this.#words.buffer, 0, 2 * this.#end);
    let text = '';
    for (let i = 0; i < units.length; i += unitsPerCall)
      text += String.fromCharCode.apply(null, units.subarray(i, i + unitsPerCall) as unknown as number[]);
    return text;
  }
}

/** Engines limit the number of arguments of a call. */
const unitsPerCall = 1 << 13;

const float = new Float64Array(1);
const bits = new Int32Array(float.buffer);

function enlarged(words: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(2 * words.length);
  larger.set(words);
  return larger;
}
