// The webcam, frame by frame: the next is taken when the last has been shown, so nothing queues up.
import { element } from "../dom.js";

const PAUSE = 30; // milliseconds between frames, for everything else

/** Call `take(jpeg)` with every frame; resolves to a function that ends it. */
export async function webcam(take) {
  const stream = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480 } });
  const video = element("video", { muted: true, playsinline: "" });
  video.srcObject = stream;
  await video.play();
  let going = true;
  (async () => {
    while (going) {
      const frame = element("canvas", { width: video.videoWidth, height: video.videoHeight });
      frame.getContext("2d").drawImage(video, 0, 0);
      const jpeg = await new Promise((done) => { frame.toBlob(done, "image/jpeg", 0.9); });
      if (going) await take(jpeg);
      await new Promise((done) => { setTimeout(done, PAUSE); });
    }
  })();
  return () => {
    going = false;
    for (const track of stream.getTracks()) track.stop();
  };
}
