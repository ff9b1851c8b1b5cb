#!/usr/bin/env python3
"""Speaks the keyword spotter's recordings: words by many voices, noise, rooms, loudness, all from seeds.

usage: speak.py training|held-out|noise FOLDER [--count N] [--sds PROGRAM]

Each recording is NAME.sdsz with NAME.labels.yml beside it, made by `sds import audio` and `sds label import`.
training   a minute each by a voice (72 of them), and 24 of noise alone. Labels are half a second around each word's
           middle, so that a window of a second has all of a word or is not called one; all else is `other` or `silence`
held-out   a minute each by 16 voices that training has not heard. Labels are where a word begins and ends
noise      six minutes each without a keyword (10 of them), nothing labelled

Needs NumPy and Debian's espeak-ng. The same version of it speaks the same samples.
"""
import argparse
import io
import os
import subprocess
import sys
import wave

import numpy

RATE = 16000
KEYWORDS = ["yes", "no", "start", "stop"]
OTHERS = ("one two three four five six seven eight nine ten up down left right go on off bed bird cat dog happy house "
          "learn read tree visual wow forward follow yet guess mess chess note now nose snow stock step star stark art "
          "heart chart top shop stay store stand still yellow yesterday nothing nobody smart state straight").split()
ACCENTS = ["en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-029", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-us-nyc"]
HELD_OUT = "Andrea Mario adam belinda david f4 klatt3 linda m7 max pablo rob steph victor Annie edward".split()
VOICES = ("Alex Alicia Andy Denis Diogo Gene Henrique Hugo Jacky Lee Marco Michael Mike Nguyen RicishayMax Storm anika "
          "announcer antonio aunty benjamin boris caleb ed edward2 f1 f2 f3 f5 fast grandma grandpa gustave iven iven3 john "
          "kaukovalta klatt klatt2 klatt4 klatt5 klatt6 m1 m2 m3 m4 m5 m6 m8 marcelo michel miguel norbert paul pedro quincy "
          "robert sandro shelby steph2 travis zac").split()


def speak(word, voice, pitch, speed):
    """The word's samples at 16 kHz, from -1 to 1, without the silence around it."""
    done = subprocess.run(["espeak-ng", "-v", voice, "-p", str(pitch), "-s", str(speed), "--stdout", word],
                          check=True, capture_output=True)
    with wave.open(io.BytesIO(done.stdout)) as w:
        rate = w.getframerate()
        sound = numpy.frombuffer(w.readframes(w.getnframes()), "<i2") / 32768
    loud = numpy.flatnonzero(abs(sound) > 0.02 * abs(sound).max())
    sound = sound[loud[0]:loud[-1] + 1]
    # Resampled by its spectrum, between silences, so that its ends do not meet.
    padded = numpy.concatenate([numpy.zeros(rate // 10), sound, numpy.zeros(rate // 10)])
    padded = padded[:len(padded) // 441 * 441] if rate == 22050 else padded
    count = len(padded) * RATE // rate
    spectrum = numpy.fft.rfft(padded)[:count // 2 + 1]
    resampled = numpy.fft.irfft(spectrum, count) * (count / len(padded))
    return resampled[RATE // 10:RATE // 10 + len(sound) * RATE // rate]


def coloured(rng, count, slope):
    """Noise whose power falls with frequency ** slope, of RMS 1."""
    spectrum = numpy.fft.rfft(rng.standard_normal(count))
    frequency = numpy.maximum(numpy.arange(len(spectrum)) * (RATE / count), 20)
    sound = numpy.fft.irfft(spectrum * frequency ** (-slope / 2), count)
    return sound / numpy.sqrt(numpy.mean(sound ** 2))


def hum(rng, count):
    """A motor: harmonics of a slowly drifting tone, and some noise."""
    base = rng.uniform(45, 240) * (1 + 0.02 * numpy.sin(numpy.arange(count) * (6.28 * rng.uniform(0.05, 0.5) / RATE)))
    phase = numpy.cumsum(base) * (6.283185307 / RATE)
    sound = sum(rng.uniform(0, 1) / k * numpy.sin(k * phase) for k in range(1, 12)) + 0.1 * coloured(rng, count, 1)
    return sound / numpy.sqrt(numpy.mean(sound ** 2))


def knocks(rng, count):
    """Knocks, clicks and clatter over a quiet floor."""
    sound = 0.05 * coloured(rng, count, 1)
    for _ in range(count // RATE * 2):
        length = int(rng.uniform(0.01, 0.25) * RATE)
        at = rng.integers(0, count - length)
        decay = numpy.exp(-numpy.arange(length) / (length / 6))
        tone = numpy.sin(numpy.arange(length) * rng.uniform(0.05, 2.5))
        sound[at:at + length] += rng.uniform(0.3, 2) * decay * (tone + rng.standard_normal(length) * rng.uniform(0, 1))
    return sound / numpy.sqrt(numpy.mean(sound ** 2))


def babble(rng, count, voices):
    """Six voices at once, none of which says a keyword."""
    sound = numpy.zeros(count)
    for _ in range(6):
        voice = str(rng.choice(ACCENTS)) + "+" + str(rng.choice(voices))
        said = [speak(str(w), voice, int(rng.integers(25, 75)), int(rng.integers(140, 200))) for w in rng.choice(OTHERS, 12)]
        said = numpy.concatenate([part for s in said for part in (s, numpy.zeros(int(rng.uniform(0, 0.3) * RATE)))])
        sound += numpy.resize(numpy.roll(said, int(rng.integers(0, len(said)))), count)
    return sound / numpy.sqrt(numpy.mean(sound ** 2))


def background(rng, count, voices):
    kind = int(rng.integers(0, 6))
    if kind == 0:
        return knocks(rng, count)
    if kind == 1:
        return hum(rng, count)
    if kind == 2:
        return babble(rng, count, voices)
    return coloured(rng, count, rng.uniform(0, 2))


def in_a_room(rng, sound):
    """Reverberation: the direct sound and a tail of noise that falls by 60 dB within 0.1 to 0.5 s."""
    length = int(rng.uniform(0.1, 0.5) * RATE)
    tail = rng.standard_normal(length) * numpy.exp(-6.9 * numpy.arange(length) / length)
    tail *= rng.uniform(0.05, 0.5) / numpy.sqrt(numpy.sum(tail ** 2))
    tail[0] += 1
    size = len(sound) + length
    return numpy.fft.irfft(numpy.fft.rfft(sound, size) * numpy.fft.rfft(tail, size), size)[:len(sound)]


def words_of_a_voice(rng, voice):
    """A minute of one voice: (samples, [(word, begin, end)] in samples)."""
    words = KEYWORDS * 6 + [str(w) for w in rng.choice(OTHERS, 22, replace=False)]
    rng.shuffle(words)
    pitch, speed = int(rng.integers(20, 80)), int(rng.integers(105, 180))
    parts, said = [numpy.zeros(int(rng.uniform(1, 2) * RATE))], []
    at = len(parts[0])
    for word in words:
        sound = speak(word, voice, pitch + int(rng.integers(-8, 9)), speed + int(rng.integers(-15, 16)))
        sound = sound / numpy.sqrt(numpy.mean(sound ** 2)) * 10 ** (rng.uniform(-4, 4) / 20)
        pause = numpy.zeros(int(rng.uniform(0.55, 1.3) * RATE))
        said.append((word, at, at + len(sound)))
        parts += [sound, pause]
        at += len(sound) + len(pause)
    return numpy.concatenate(parts), said


def at_a_level(rng, sound):
    """As 16-bit samples, its RMS 12 to 40 dB below full scale."""
    level = 10 ** (-rng.uniform(12, 40) / 20) / numpy.sqrt(numpy.mean(sound ** 2))
    return numpy.clip(numpy.rint(sound * level * 32768), -32768, 32767).astype("<i2")


def make(args, name, sound, labels):
    """Through sds, as recordings from anywhere else."""
    path = os.path.join(args.folder, name)
    with wave.open(path + ".wav", "wb") as w:
        w.setnchannels(1)
        w.setsampwidth(2)
        w.setframerate(RATE)
        w.writeframes(sound.tobytes())
    run = lambda *words: subprocess.run([args.sds, *words], check=True, stdout=subprocess.DEVNULL)
    run("import", "audio", path + ".wav", "-o", path + ".sdsz", "-s", "Microphone", "-f")
    os.remove(path + ".wav")
    if os.path.exists(path + ".labels.yml"):
        os.remove(path + ".labels.yml")
    if not labels:
        return
    with open(path + ".csv", "w", encoding="ascii") as f:
        f.write("class,from,to\n")
        for word, begin, end in labels:
            f.write("%s,%.9g,%.9g\n" % (word, begin / RATE, end / RATE))
    run("label", "import", path + ".sdsz", "-i", path + ".csv")
    os.remove(path + ".csv")


def around_middles(said, count):
    """Labels for training: half a second around each keyword; `other` from a tenth of a second beside these."""
    labels, free = [], 0
    for word, begin, end in said:
        if word not in KEYWORDS:
            continue
        middle = (begin + end) // 2
        begin, end = middle - RATE // 4, middle + RATE // 4
        if begin - RATE // 10 > free:
            labels.append(("other", free, begin - RATE // 10))
        labels.append((word, begin, end))
        free = end + RATE // 10
    if free < count:
        labels.append(("other", free, count))
    return labels


def speech(args, name, seed, voice, voices, training):
    rng = numpy.random.Generator(numpy.random.PCG64(seed))
    sound, said = words_of_a_voice(rng, str(rng.choice(ACCENTS)) + "+" + voice)
    if rng.uniform() < 0.7:
        sound = in_a_room(rng, sound)
    distance = rng.uniform(5, 35) if training else rng.uniform(8, 35)
    sound = sound + background(rng, len(sound), voices) * 10 ** (-distance / 20)
    sound = at_a_level(rng, sound)
    keywords = [(w, b, e) for w, b, e in said if w in KEYWORDS]
    make(args, name, sound, around_middles(said, len(sound)) if training else keywords)


def noise(args, name, seed, seconds, voices, label):
    rng = numpy.random.Generator(numpy.random.PCG64(seed))
    count = seconds * RATE
    sound = numpy.concatenate([background(rng, count // 6, voices) * 10 ** (rng.uniform(-15, 0) / 20) for _ in range(6)])
    make(args, name, at_a_level(rng, sound), [("silence", 0, len(sound))] if label else [])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["training", "held-out", "noise"])
    parser.add_argument("folder")
    parser.add_argument("--count", type=int, help="only the first so many recordings (of training: of each kind)")
    parser.add_argument("--sds", default="sds", help="the program (default: the one in the PATH)")
    args = parser.parse_args()
    os.makedirs(args.folder, exist_ok=True)
    made = 0
    if args.what == "training":
        for i in range(min(72, args.count or 72)):
            speech(args, "voice-%02d" % i, 1000 + i, VOICES[i % len(VOICES)], VOICES, True)
            made += 1
        for i in range(min(24, args.count or 24)):
            noise(args, "noise-%02d" % i, 2000 + i, 60, VOICES, True)
            made += 1
    elif args.what == "held-out":
        for i in range(min(16, args.count or 16)):
            speech(args, "held-out-%02d" % i, 3000 + i, HELD_OUT[i], HELD_OUT, False)
            made += 1
    else:
        for i in range(min(10, args.count or 10)):
            noise(args, "noise-%02d" % i, 4000 + i, 360, HELD_OUT, False)
            made += 1
    print("%d recordings in %s" % (made, args.folder))


if __name__ == "__main__":
    sys.exit(main())
