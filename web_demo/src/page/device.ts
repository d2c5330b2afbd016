/** What the browser tells about the device, for the numbers on the page and for result files. */

interface UserAgentData {
  brands: { brand: string; version: string }[];
  platform: string;
  getHighEntropyValues(hints: string[]): Promise<Record<string, string>>;
}

export interface Device {
  name: string;
  os: string;
  architecture: string;
  browser: string;
}

/** Browsers tell little: the model on Android, the system elsewhere. */
export async function describeDevice(): Promise<Device> {
  const { userAgent } = navigator;
  const data = (navigator as { userAgentData?: UserAgentData }).userAgentData;
  const values = (await data?.getHighEntropyValues(["model", "platformVersion", "architecture", "bitness"]).catch(() => undefined)) ?? {};
  const platform = data?.platform || /iPhone|iPad|Android|Windows|Macintosh|Linux/.exec(userAgent)?.[0] || "unknown system";
  const os = [platform, values.platformVersion].filter(Boolean).join(" ");
  const brand = data?.brands.find(({ brand: name }) => !/not.?a.?brand/i.test(name));
  const agent = /(Firefox|Edg|Chrome|Version)\/[\d.]+/.exec(userAgent)?.[0].replace("Version", "Safari").replace("/", " ");
  return {
    name: values.model || os,
    os,
    architecture: values.architecture ? `${values.architecture}${values.bitness ? ` ${values.bitness}` : ""}` : "unknown",
    browser: brand ? `${brand.brand} ${brand.version}` : (agent ?? "unknown browser"),
  };
}
