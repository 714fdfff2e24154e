/** What a figure moves on and which source suits it, as reference/animation/topology.py weighs the evidence. */
import { shapeEvidence, type Evidence } from './evidence';
import { countBits } from './grids';
import { mapSource, type Rig } from './rig';
import type { Sources, Topology, Weights } from './sources';
import type { Mapping } from './mapping';

const LEAST_SCORE = 0.02;
/** So many of its thickest discs fill a figure that is long. */
const LONG = 7;

/** What a figure is taken for, how sure that is (0 to 1), and the source that drives it. */
export interface Choice {
  readonly topology: Topology;
  readonly confidence: number;
  readonly figure: string;
}

/** Class to probability, as a classifier saw the picture. */
export type Scores = ReadonlyMap<string, number>;

export function choose(rig: Rig, sources: Sources, scores: Scores | null, wanted?: Topology): Choice {
  const { labels, weights } = sources;
  const fits = new Map<string, Mapping>();
  for (const name of Object.values(labels.topology).flat()) fits.set(name, mapSource(rig, sources.figure(name)));
  let [topology, confidence] = [wanted, 1];
  if (topology === undefined) {
    const found = probabilities(
      scores ? weights.with_class : weights.without_class,
      gather(rig, sources, scores, fits),
    );
    [topology, confidence] = found.reduce((best, other) => (other[1] > best[1] ? other : best));
  }
  const seen = scores ? [...scores].reduce((best, other) => (other[1] > best[1] ? other : best))[0] : '';
  const named = labels.dataset[seen];
  if (named !== undefined && sources.figure(named).topology === topology)
    return { topology, confidence, figure: named };
  const error = (name: string): number => fits.get(name)!.error;
  // A chain without limbs, a snake, stands for long figures and for no others.
  const isLong = countBits(rig.contours.grid) > LONG * Math.PI * Math.max(...rig.medial.radii) ** 2;
  const figures = labels.topology[topology];
  const suited = figures.filter((name) => sources.figure(name).skeleton.leaves.length <= 2 === isLong);
  const figure = (suited.length > 0 ? suited : figures).reduce((best, other) =>
    error(other) < error(best) ? other : best,
  );
  return { topology, confidence, figure };
}

/** All evidence on a figure by name. */
export function gather(
  rig: Rig,
  sources: Sources,
  scores: Scores | null,
  fits: ReadonlyMap<string, Pick<Mapping, 'error'>>,
): Evidence {
  const evidence = shapeEvidence(rig.contours.grid, rig.medial, rig.skeleton);
  for (const [name, { error }] of fits) evidence[`fit_${name}`] = Math.min(error, 1);
  return scores ? { ...evidence, ...classEvidence(sources, scores) } : evidence;
}

/** Logarithms of the probabilities that the classes give each topology, and that they give none. */
function classEvidence({ labels, figures, weights }: Sources, scores: Scores): Evidence {
  const topologies: readonly string[] = weights.with_class.topologies;
  const totals = new Map([...topologies, 'none'].map((name) => [name, 0]));
  for (const [label, score] of scores) {
    const figure = labels.dataset[label];
    const known = topologies.includes(label) ? label : figures.get(figure ?? '')?.topology;
    totals.set(known ?? 'none', totals.get(known ?? 'none')! + score);
  }
  return Object.fromEntries([...totals].map(([name, total]) => [`class_${name}`, Math.log(LEAST_SCORE + total)]));
}

/** Evidence that is missing counts as its mean. */
function probabilities(
  { topologies, names, mean, scale, matrix, bias }: Weights,
  evidence: Evidence,
): [Topology, number][] {
  const values = names.map((name, i) => ((evidence[name] ?? mean[i]!) - mean[i]!) / scale[i]!);
  const logits = matrix.map((row, k) => row.reduce((sum, weight, i) => sum + weight * values[i]!, bias[k]!));
  const most = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - most));
  const total = powers.reduce((a, b) => a + b, 0);
  return topologies.map((topology, k) => [topology, powers[k]! / total]);
}
