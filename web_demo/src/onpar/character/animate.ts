/** A rigged figure with the clips of a source, as reference/animation/animate.py carries them over. */
import { alignTopology } from './alignment';
import type { CharacterClip } from './character_file';
import { layersOf } from './layers';
import type { Mapping } from './mapping';
import { minus, transform, type Vector } from './matrices';
import { mapSource, type Rig } from './rig';
import { forward, Skeleton, type Clip } from './skeleton';
import { skinWeights } from './skin_weights';
import type { Source } from './sources';
import { alignNodes, inPlace, legLength, lowest, stand, transfer } from './transfer';

/** Share of the drawn pose that stays. */
const KEEP = { two_feet: 0.4, others: 0.5 };
const MATRIX = 12;

export interface Moving {
  readonly mapping: Mapping;
  /** The target after topology alignment; its joints are named after what drives them. */
  readonly skeleton: Skeleton;
  readonly clips: readonly Clip[];
  readonly joints: Uint8Array;
  readonly weights: Float32Array;
  /** The rest pose, with limbs before the body drawn before it. */
  readonly vertices: readonly Vector[];
}

/** Maps, aligns and carries over the clips of one source. */
export function animate(rig: Rig, source: Source, clips: readonly Clip[]): Moving {
  const mapping = mapSource(rig, source);
  const keep = source.topology === 'two_feet' ? KEEP.two_feet : KEEP.others;
  const aligned = clips.map((clip) => alignTopology(source.skeleton, clip, mapping.target, mapping.pairs));
  const moved = aligned.map((pair, i) => {
    const offsets = alignNodes(pair.source, pair.target, mapping.view, keep);
    const carried = inPlace(transfer(pair.source, pair.clip, pair.target, offsets));
    const feet = pair.sourceNodes.flatMap((nodes, joint) =>
      nodes.some((n) => source.feet.includes(n)) ? [joint] : [],
    );
    if (feet.length === 0) return carried;
    const ratio = legLength(pair.target, feet) / Math.max(legLength(pair.source, feet), 1e-9);
    const clearance = clearanceOf(source, clips[i]!).map((height) => height * ratio);
    return stand(carried, pair.target, feet, clearance);
  });
  const { source: named, target, sourceNodes } = aligned[0]!;
  const skeleton = new Skeleton(named.names, target.parents, target.positions);
  const { joints, weights } = skinWeights(rig.body, skeleton);
  const shifts = layersOf(source.skeleton, mapping.view, sourceNodes);
  const vertices = rig.body.vertices.map(([x, y, z], v): Vector => {
    let shift = 0;
    for (let i = 4 * v; i < 4 * v + 4; i++) shift += weights[i]! * shifts[joints[i]!]!;
    return [x, y, z + shift];
  });
  return { mapping, skeleton, clips: moved, joints, weights, vertices };
}

/** Height of the source's lowest foot above the lowest place that it reaches in the clip. */
function clearanceOf(source: Source, clip: Clip): number[] {
  const heights = lowest(forward(source.skeleton, clip), source.feet);
  const least = Math.min(...heights);
  return heights.map((height) => height - least);
}

/** A clip as apps play it: per frame and joint the matrix that takes a vertex from rest to where the joint brings it. */
export function toMatrices(skeleton: Skeleton, clip: Clip): CharacterClip {
  const pose = forward(skeleton, clip);
  const [frames, joints] = [clip.rotations.length, skeleton.length];
  const matrices = new Float32Array(frames * joints * MATRIX);
  for (let frame = 0; frame < frames; frame++) {
    for (let joint = 0; joint < joints; joint++) {
      const turn = pose.rotations[frame]![joint]!;
      const move = minus(pose.positions[frame]![joint]!, transform(turn, skeleton.positions[joint]!));
      const at = (frame * joints + joint) * MATRIX;
      for (let row = 0; row < 3; row++) matrices.set([...turn.slice(3 * row, 3 * row + 3), move[row]!], at + 4 * row);
    }
  }
  const golden = { goldenFrames: new Int32Array(0), goldenVertices: new Float32Array(0) };
  return { name: clip.name, frameRate: clip.frameRate, frames, matrices, ...golden };
}
