/** What kind of thing went wrong; the page chooses its advice by it. */
export type Fault = "unsupported" | "download" | "contract" | "hash" | "golden" | "runtime" | "image";

/** An error whose text says what was got, what was expected, and what to do next. */
export class SkyedgeError extends Error {
  constructor(
    readonly fault: Fault,
    message: string,
  ) {
    super(message);
    this.name = "SkyedgeError";
  }
}

export function asSkyedgeError(error: unknown, fault: Fault): SkyedgeError {
  if (error instanceof SkyedgeError) return error;
  return new SkyedgeError(fault, error instanceof Error ? error.message : String(error));
}
