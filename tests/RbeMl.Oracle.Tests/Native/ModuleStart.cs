using System.Runtime.CompilerServices;

namespace RbeMl.Oracle.Tests.Native;

/// <summary>Runs before anything else of this assembly, so before TorchSharp loads its native library.</summary>
internal static class ModuleStart
{
    [ModuleInitializer]
    internal static void Run() => OlderLibstdcxx.MendOutput();
}
