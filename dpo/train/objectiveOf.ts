import type { TrainSettings } from '../config/trainKeys.ts';
import {
  cdpo,
  dmpo,
  dpo,
  dpoSft,
  dspo,
  flowDpo,
  hinge,
  ipo,
  kto,
  mapo,
  type Objective,
  robust,
  safeguard,
  sft,
} from '../objectives/index.ts';

/** The objective that the settings name; `numTrainTimesteps` is T of the noise schedule. */
export function objectiveOf(settings: TrainSettings, numTrainTimesteps: number): Objective {
  const { beta } = settings;
  const makers: Readonly<Record<TrainSettings['objective'], () => Objective>> = {
    dpo: () => dpo({ beta }),
    sft,
    'dpo+sft': () => dpoSft({ beta, alpha: settings.sftWeight }),
    cdpo: () => cdpo({ beta, labelSmoothing: settings.labelSmoothing }),
    robust: () => robust({ beta, flipRate: settings.flipRate }),
    ipo: () => ipo({ tau: settings.ipoTau }),
    hinge: () => hinge({ beta }),
    kto: () => kto({ beta }),
    mapo: () => mapo({ b: settings.mapoWeight, timesteps: numTrainTimesteps }),
    dspo: () => dspo({ beta, pull: settings.dspoPull }),
    dmpo: () => dmpo({ beta, a: settings.mislabelled }),
    'flow-dpo': () => flowDpo({ beta }),
  };
  const objective = makers[settings.objective]();
  return settings.safeguard === null
    ? objective
    : safeguard(objective, { mu: settings.safeguard, scope: settings.safeguardScope });
}
