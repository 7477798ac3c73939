// The microphone, the peer connection that carries it, and meters that show how loud either side is.

const GATHER_MS = 2000;

export class NoMicrophone extends Error {}

export async function openMicrophone() {
  if (!navigator.mediaDevices) {
    throw new NoMicrophone("A browser gives its microphone only to pages on https or on the machine itself.");
  }
  try {
    return await navigator.mediaDevices.getUserMedia({
      audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
    });
  } catch (error) {
    const isDenied = error.name === "NotAllowedError";
    throw new NoMicrophone(
      isDenied ? "The microphone is blocked. Allow it for this page, then press Talk." : "No microphone can be used.",
    );
  }
}

// Returns a connection whose offer holds all its candidates: the server answers once and is not asked again.
export async function makeOffer(microphone) {
  const connection = new RTCPeerConnection();
  connection.createDataChannel("signals");
  for (const track of microphone.getAudioTracks()) connection.addTrack(track, microphone);
  await connection.setLocalDescription(await connection.createOffer());
  await gathered(connection);
  return connection;
}

function gathered(connection) {
  return new Promise((resolve) => {
    const check = () => connection.iceGatheringState === "complete" && resolve();
    connection.addEventListener("icegatheringstatechange", check);
    setTimeout(resolve, GATHER_MS);
    check();
  });
}

// Shows the level of a stream on an element with role="meter" until stop() is called.
export class Meter {
  constructor(element) {
    this.element = element;
    this.timer = 0;
  }

  watch(context, stream) {
    this.stop();
    const analyser = context.createAnalyser();
    analyser.fftSize = 1024;
    this.source = context.createMediaStreamSource(stream);
    this.source.connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    this.timer = setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
      // -60 dB, a quiet room, is the left end; -12 dB, a close voice, is the right one.
      this.show((10 * Math.log10(power + 1e-9) + 60) / 48);
    }, 80);
  }

  show(level) {
    const shown = Math.min(1, Math.max(0, level));
    this.element.style.setProperty("--level", shown.toFixed(2));
    this.element.setAttribute("aria-valuenow", String(Math.round(shown * 100)));
  }

  stop() {
    clearInterval(this.timer);
    this.source?.disconnect();
    this.source = null;
    this.show(0);
  }
}
