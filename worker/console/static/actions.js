export async function stopRecording() {}
