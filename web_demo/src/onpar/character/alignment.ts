/**
 * Two skeletons and a mapping become two skeletons of one topology, as reference/animation/retarget/alignment.py makes
 * them: nodes with one partner are merged, branches of it copied, and nodes without one merged into their parent.
 */
import { meanOf, minus, multiply, transposed, type Matrix } from './matrices';
import { forward, Skeleton, type Clip } from './skeleton';

export interface Aligned {
  readonly source: Skeleton;
  readonly clip: Clip;
  readonly target: Skeleton;
  /** Per node the numbers of the original source nodes that were merged into it, the topmost first. */
  readonly sourceNodes: readonly (readonly number[])[];
}

interface Node {
  readonly parent: number;
  readonly source: readonly number[];
  readonly target: number[];
}

export function alignTopology(
  source: Skeleton,
  clip: Clip,
  target: Skeleton,
  pairs: readonly (readonly [number, number])[],
): Aligned {
  const partners = new Map<number, number[]>();
  for (const [s, t] of pairs) partners.set(t, [...(partners.get(t) ?? []), s]);
  const top = partners.get(0) ?? [meetingOf(source, partners)];
  const nodes: Node[] = [{ parent: -1, source: branchesOf(source, top)[0]!, target: [0] }];
  const waiting: [joint: number, above: number][] = target.children[0]!.map((child) => [child, 0]);
  for (const [joint, above] of waiting) {
    const places = placesOf(source, nodes[above]!, partners.get(joint) ?? []);
    const below = new Set<number>();
    if (places.length === 0) below.add(above);
    for (const group of places) {
      if (group === nodes[above]!.source) nodes[above]!.target.push(joint);
      else nodes.push({ parent: above, source: group, target: [joint] });
      below.add(group === nodes[above]!.source ? above : nodes.length - 1);
    }
    // Grows while it is read: parents come before children.
    for (const child of target.children[joint]!) for (const number of below) waiting.push([child, number]);
  }
  return build(source, clip, target, nodes);
}

/** For a root without a partner: the source node where the ways to all partners meet. */
function meetingOf(source: Skeleton, partners: ReadonlyMap<number, readonly number[]>): number {
  const ways = [...partners.values()].flat().map((node) => source.pathToRoot(node));
  return ways[0]!.find((joint) => ways.every((way) => way.includes(joint)))!;
}

/** Groups of nodes that lie on one way from the root, each sorted from the top down. */
function branchesOf(source: Skeleton, joints: readonly number[]): number[][] {
  const depth = (joint: number): number => source.pathToRoot(joint).length;
  const groups: number[][] = [];
  for (const joint of [...new Set(joints)].sort((a, b) => depth(a) - depth(b) || a - b)) {
    const above = source.pathToRoot(joint);
    const home = groups.find((group) => above.includes(group.at(-1)!));
    if (home) home.push(joint);
    else groups.push([joint]);
  }
  return groups;
}

/** The source branches that a target node below `above` stands for. */
function placesOf(source: Skeleton, above: Node, partners: readonly number[]): (readonly number[])[] {
  const top = above.source.at(-1)!;
  const inside = partners.filter((partner) => source.pathToRoot(partner).includes(top));
  const shared = partners.some((partner) => above.source.includes(partner));
  if (shared && !inside.some((partner) => partner !== top)) return [above.source];
  const own = inside.filter((partner) => !above.source.includes(partner));
  return branchesOf(source, own.length > 0 ? own : partners);
}

function build(source: Skeleton, clip: Clip, target: Skeleton, nodes: readonly Node[]): Aligned {
  const parents = nodes.map((node) => node.parent);
  const place = (skeleton: Skeleton, numbers: readonly number[]) => meanOf(numbers.map((i) => skeleton.positions[i]!));
  const final = new Skeleton(
    namesOf(source, nodes),
    parents,
    nodes.map((node) => place(source, node.source)),
  );
  const aligned = new Skeleton(
    final.names,
    parents,
    nodes.map((node) => place(target, node.target)),
  );
  const pose = forward(source, clip);
  const deepest = withSkipped(source, nodes);
  const rotations = pose.rotations.map((world) => toLocal(deepest.map((node) => world[node]!), parents)); // prettier-ignore
  // The root's place follows the mean of its nodes, so that the mean's motion is kept and not one node's.
  const translations = pose.positions.map((world) =>
    minus(meanOf(nodes[0]!.source.map((node) => world[node]!)), final.positions[0]!),
  );
  return {
    source: final,
    clip: { ...clip, rotations, translations },
    target: aligned,
    sourceNodes: nodes.map((node) => node.source),
  };
}

/** Rotations relative to the parents, of rotations in the world. */
export function toLocal(world: readonly Matrix[], parents: readonly number[]): Matrix[] {
  return world.map((turn, joint) => (parents[joint]! < 0 ? turn : multiply(transposed(world[parents[joint]!]!), turn)));
}

/** Per node the source node whose world rotation it takes: its deepest, or the last skipped one below it. */
function withSkipped(source: Skeleton, nodes: readonly Node[]): number[] {
  return nodes.map((node, number) => {
    const deepest = node.source.at(-1)!;
    const children = nodes.filter((other) => other.parent === number);
    if (children.length !== 1) return deepest;
    const above = source.parents[children[0]!.source[0]!]!;
    return above >= 0 && source.pathToRoot(above).includes(deepest) ? above : deepest;
  });
}

/** One name per node: its deepest source node's, numbered where copies need it. */
function namesOf(source: Skeleton, nodes: readonly Node[]): string[] {
  const names: string[] = [];
  for (const node of nodes) {
    const own = source.names[node.source.at(-1)!]!;
    let name = own;
    for (let count = 2; names.includes(name); count++) name = `${own}#${count}`;
    names.push(name);
  }
  return names;
}
