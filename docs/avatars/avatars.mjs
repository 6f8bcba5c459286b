// Draws avatars of 64x64 pixels into a folder, for ddpm-tui to train on:
//
//	npm install --ignore-scripts --no-package-lock
//	node avatars.mjs [FOLDER] [COUNT] [FIRST]      (avatars64, 20000, 0)
//
// Avatar i is a function of i alone: the same folder comes out everywhere, and a part of it can be drawn later or elsewhere. Pictures
// that are there already are left as they are, so that an interrupted call goes on where it ended.
//
// The drawings are "Lorelei" by Lisa Wischofsky (CC0 1.0), put together by DiceBear with colours chosen here and drawn by resvg. See README.md.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createAvatar } from '@dicebear/core'
import * as lorelei from '@dicebear/lorelei'
import { Resvg } from '@resvg/resvg-js'

const SIDE = 64 // pixels

// Random numbers of avatar i: SHA-256 of its name and a counter, 32 bits at a time.
class Dice {
  constructor(name) {
    this.name = name
    this.blocks = 0
    this.words = []
  }
  next() { // in [0, 1)
    if (this.words.length === 0) {
      const h = createHash('sha256').update(`${this.name} ${this.blocks++}`).digest()
      for (let k = 0; k < 32; k += 4) this.words.push(h.readUInt32LE(k))
    }
    return this.words.shift() / 2 ** 32
  }
  between(low, high) { return low + (high - low) * this.next() }
  whole(low, high) { return Math.floor(this.between(low, high + 1)) }
  chance(p) { return this.next() < p }
  pick(list) { return list[Math.floor(this.next() * list.length)] }
  weighted(table) { // [[weight, value], ...]
    let x = this.next() * table.reduce((sum, [w]) => sum + w, 0)
    for (const [w, v] of table) if ((x -= w) < 0) return v
    return table[table.length - 1][1]
  }
}

// Colours are [red, green, blue] of 0 to 255 until they are written.
const hex = (c) => c.map((v) => Math.min(255, Math.max(0, Math.round(v))).toString(16).padStart(2, '0')).join('')
const scale = (c, f) => c.map((v) => v * f)
const stray = (dice, c, d) => c.map((v) => v + dice.between(-d, d))

// hsl: hue in degrees, saturation and lightness in [0, 1].
function hsl(hue, saturation, lightness) {
  const chroma = saturation * Math.min(lightness, 1 - lightness)
  return [0, 8, 4].map((n) => {
    const k = (n + hue / 30) % 12
    return 255 * (lightness - chroma * Math.max(-1, Math.min(k - 3, 9 - k, 1)))
  })
}

const SKIN = [
  [22, [255, 228, 214]], [20, [252, 214, 190]], [18, [244, 198, 164]], [14, [228, 172, 130]],
  [10, [204, 144, 100]], [8, [176, 116, 76]], [5, [140, 88, 56]], [3, [108, 68, 46]],
]
const HAIR = [
  [14, [34, 32, 42]], [10, [62, 44, 38]], [8, [94, 60, 38]], [8, [142, 92, 54]], [6, [188, 124, 62]], [9, [222, 170, 72]], [8, [246, 214, 104]],
  [5, [240, 232, 214]], [4, [192, 200, 212]], [5, [226, 88, 48]], [5, [190, 44, 50]], [6, [252, 130, 180]], [5, [150, 108, 196]],
  [4, [88, 76, 152]], [6, [60, 104, 178]], [6, [90, 180, 220]], [5, [44, 156, 142]], [5, [126, 184, 34]],
]

// What avatar i looks like, in DiceBear's words.
function looks(i) {
  const dice = new Dice(`ddpm-tui avatar ${i}`)
  const skin = stray(dice, dice.weighted(SKIN), 6)
  const hair = stray(dice, dice.weighted(HAIR), 10)
  const hue = dice.between(0, 360)
  const background = dice.weighted([
    [70, () => hsl(hue, dice.between(0.45, 0.9), dice.between(0.74, 0.9))], // light
    [20, () => hsl(hue, dice.between(0.4, 0.8), dice.between(0.45, 0.62))],
    [10, () => hsl(hue, dice.between(0.2, 0.55), dice.between(0.2, 0.34))], // dark
  ])()
  const one = (c) => [hex(c)]
  return {
    background: hex(background),
    options: {
      seed: `ddpm-tui avatar ${i}`, size: SIDE, flip: dice.chance(0.5),
      scale: dice.whole(122, 136), translateX: dice.whole(-3, 3), translateY: dice.whole(-1, 4),
      backgroundColor: one(background), skinColor: one(skin), hairColor: one(hair),
      eyesColor: one(hsl(dice.between(0, 360), dice.between(0.55, 0.9), dice.between(0.26, 0.44))),
      eyebrowsColor: one(scale(hair, 0.45)), noseColor: one(scale(skin, 0.35)), frecklesColor: one(scale(skin, 0.6)),
      mouthColor: one(scale(stray(dice, [190, 62, 66], 25), skin[0] < 190 ? 0.72 : 1)),
      earringsColor: [dice.pick(['f4c542', 'dfe6ee', 'e0475b', '4aa3df'])],
      hairAccessoriesColor: [dice.pick(['ffffff', 'ff8fab', 'ffd166', '8ecae6'])],
      glassesColor: [dice.pick(['1d1d26', '7a2e3a', '23405e', '5a4a2f'])],
      beardProbability: 2, glassesProbability: 12, hairAccessoriesProbability: 8, earringsProbability: 15, frecklesProbability: 6,
    },
  }
}

// Draws avatar i as a PNG.
function draw(i) {
  const { background, options } = looks(i)
  const svg = createAvatar(lorelei, options).toString()
  return new Resvg(svg, { fitTo: { mode: 'width', value: SIDE }, background: '#' + background, font: { loadSystemFonts: false } }).render().asPng()
}

const [folder = 'avatars64', count = '20000', first = '0'] = process.argv.slice(2)
if (!/^\d+$/.test(count) || !/^\d+$/.test(first)) {
  console.error('usage: node avatars.mjs [FOLDER] [COUNT] [FIRST]')
  process.exit(2)
}
mkdirSync(folder, { recursive: true })
for (let k = 0; k < +count; k++) {
  const i = +first + k
  const path = join(folder, `avatar-${String(i).padStart(6, '0')}.png`)
  if (!existsSync(path)) {
    writeFileSync(path + '.part', draw(i)) // beside, so that what has its name is whole
    renameSync(path + '.part', path)
  }
  if ((k + 1) % 1000 === 0) console.log(`${k + 1} of ${count}`)
}
