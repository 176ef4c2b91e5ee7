import { comparePathElements, type PathElement } from './path-element.ts';

/**
 * A set of field paths as a tree. `self` says that the path ending here is a member; `kids` are the steps below.
 * Sets are immutable and share structure: an operation that changes nothing returns its first operand itself, so
 * identity is a cheap test for "unchanged". No branch is empty: every kid is a member or has members below it.
 */
export interface FieldSet {
  readonly self: boolean;
  readonly kids: ReadonlyMap<PathElement, FieldSet> | undefined;
}

/** The set without members. */
export const EMPTY: FieldSet = { self: false, kids: undefined };

/** The set that has its own root alone: what a leaf is below its parent. */
export const LEAF: FieldSet = { self: true, kids: undefined };

/** Whether the set has no members. */
export function isEmpty(set: FieldSet): boolean {
  return !set.self && set.kids === undefined;
}

/** Whether the path is a member. */
export function has(set: FieldSet, path: readonly PathElement[]): boolean {
  let node: FieldSet | undefined = set;
  for (const element of path) {
    node = node.kids?.get(element);
    if (node === undefined) return false;
  }
  return node.self;
}

/** The members of either set. */
export function union(a: FieldSet, b: FieldSet): FieldSet {
  if (a === b) return a;
  if (b.kids === undefined) return !b.self || a.self ? a : { self: true, kids: a.kids };
  if (a.kids === undefined) return !a.self || b.self ? b : { self: true, kids: b.kids };
  let kids: Map<PathElement, FieldSet> | undefined;
  for (const [element, right] of b.kids) {
    const left = a.kids.get(element);
    const joined = left === undefined ? right : union(left, right);
    if (joined === left) continue;
    kids ??= new Map(a.kids);
    kids.set(element, joined);
  }
  if (kids === undefined && (a.self || !b.self)) return a;
  return { self: a.self || b.self, kids: kids ?? a.kids };
}

/** The members of both sets. */
export function intersection(a: FieldSet, b: FieldSet): FieldSet {
  if (a === b) return a;
  const self = a.self && b.self;
  if (a.kids === undefined || b.kids === undefined) return self ? LEAF : EMPTY;
  const [few, many] = a.kids.size <= b.kids.size ? [a.kids, b.kids] : [b.kids, a.kids];
  let kids: Map<PathElement, FieldSet> | undefined;
  for (const [element, left] of few) {
    const right = many.get(element);
    if (right === undefined) continue;
    const common = intersection(left, right);
    if (isEmpty(common)) continue;
    kids ??= new Map();
    kids.set(element, common);
  }
  return { self, kids };
}

/** The members of `a` that are not members of `b`. A member of `b` says nothing about the paths below it. */
export function difference(a: FieldSet, b: FieldSet): FieldSet {
  return subtract(a, b, false);
}

/** The members of `a` that are neither members of `b` nor below one. */
export function recursiveDifference(a: FieldSet, b: FieldSet): FieldSet {
  return subtract(a, b, true);
}

function subtract(a: FieldSet, b: FieldSet, recursive: boolean): FieldSet {
  if (a === b && !recursive) return EMPTY;
  const self = a.self && !b.self;
  const kids = a.kids === undefined || b.kids === undefined ? a.kids : subtractKids(a.kids, b.kids, recursive);
  return self === a.self && kids === a.kids ? a : kids === undefined ? (self ? LEAF : EMPTY) : { self, kids };
}

type Kids = ReadonlyMap<PathElement, FieldSet>;

function subtractKids(a: Kids, b: Kids, recursive: boolean): Kids | undefined {
  let kids: Map<PathElement, FieldSet> | undefined;
  const take = (element: PathElement, left: FieldSet, right: FieldSet): void => {
    const rest = recursive && right.self ? EMPTY : subtract(left, right, recursive);
    if (rest === left) return;
    kids ??= new Map(a);
    if (isEmpty(rest)) kids.delete(element);
    else kids.set(element, rest);
  };
  if (b.size < a.size) {
    for (const [element, right] of b) {
      const left = a.get(element);
      if (left !== undefined) take(element, left, right);
    }
  } else {
    for (const [element, left] of a) {
      const right = b.get(element);
      if (right !== undefined) take(element, left, right);
    }
  }
  if (kids === undefined) return a;
  return kids.size === 0 ? undefined : kids;
}

/** Whether all members of `b` are members of `a`. */
export function contains(a: FieldSet, b: FieldSet): boolean {
  if (a === b) return true;
  if (b.self && !a.self) return false;
  if (b.kids === undefined) return true;
  if (a.kids === undefined) return false;
  for (const [element, right] of b.kids) {
    const left = a.kids.get(element);
    if (left === undefined || !contains(left, right)) return false;
  }
  return true;
}

/** Whether both sets have the same members. */
export function equal(a: FieldSet, b: FieldSet): boolean {
  if (a === b) return true;
  if (a.self !== b.self || a.kids?.size !== b.kids?.size) return false;
  if (a.kids === undefined || b.kids === undefined) return true;
  for (const [element, left] of a.kids) {
    const right = b.kids.get(element);
    if (right === undefined || !equal(left, right)) return false;
  }
  return true;
}

/** The steps below a node in the order of Go's implementation. */
export function sortedElements(set: FieldSet): PathElement[] {
  return set.kids === undefined ? [] : [...set.kids.keys()].sort(comparePathElements);
}

/** All member paths, in the order in which Go's implementation visits them: the members of a level come first. */
export function paths(set: FieldSet): PathElement[][] {
  const out: PathElement[][] = [];
  collect(set, [], out);
  return out;
}

function collect(set: FieldSet, prefix: readonly PathElement[], out: PathElement[][]): void {
  const elements = sortedElements(set);
  for (const element of elements) if (set.kids?.get(element)?.self) out.push([...prefix, element]);
  for (const element of elements) {
    const kid = set.kids?.get(element);
    if (kid?.kids !== undefined) collect(kid, [...prefix, element], out);
  }
}

/** A set from its member paths. The empty path, the whole object, is nobody's and is ignored. */
export function setOf(...members: readonly (readonly PathElement[])[]): FieldSet {
  const builder = new FieldSetBuilder();
  for (const path of members) builder.insert(path);
  return builder.build();
}

interface MutableSet {
  self: boolean;
  kids: Map<PathElement, MutableSet> | undefined;
}

/** Collects member paths; costs nothing until the first one. */
export class FieldSetBuilder {
  private root: MutableSet | undefined;

  /** Adds a path. The path is copied. */
  insert(path: readonly PathElement[]): void {
    if (path.length === 0) return;
    this.root ??= { self: false, kids: undefined };
    let node = this.root;
    for (const element of path) {
      node.kids ??= new Map();
      let next = node.kids.get(element);
      if (next === undefined) {
        next = { self: false, kids: undefined };
        node.kids.set(element, next);
      }
      node = next;
    }
    node.self = true;
  }

  /** The set of what was inserted. The builder must not be used afterwards. */
  build(): FieldSet {
    return this.root ?? EMPTY;
  }
}
