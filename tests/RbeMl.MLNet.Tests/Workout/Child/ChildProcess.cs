using System.Diagnostics;
using System.Reflection;
using System.Runtime.InteropServices;
using Microsoft.ML;

namespace RbeMl.MLNet.Tests.Workout;

/// <summary>Runs this assembly as a fresh process that knows nothing but the files it is given.</summary>
internal static class ChildProcess
{
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(10); // only a hang takes so long, however busy the machine

    /// <summary>Loads a model, transforms data (.idv) and writes the result (.idv), all in a child process.</summary>
    /// <exception cref="InvalidOperationException">The child failed; the message holds what it wrote.</exception>
    public static void Transform(string model, string data, string output, Action<MLContext> prepare)
    {
        MethodInfo method = prepare.Method;
        if (prepare.Target is { } target && target.GetType().GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic).Length > 0)
            throw new ArgumentException("Prepare captures variables, which a child process can't have; use a static method", nameof(prepare));
        Run(ChildProgram.TransformVerb, model, data, output, method.DeclaringType!.AssemblyQualifiedName!, method.Name);
    }

    private static void Run(params string[] arguments)
    {
        var start = new ProcessStartInfo(DotnetHost(), ["exec", typeof(ChildProcess).Assembly.Location, .. arguments])
        {
            RedirectStandardError = true,
            RedirectStandardOutput = true,
        };
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync(), errors = process.StandardError.ReadToEndAsync();
        if (!process.WaitForExit(s_limit))
        {
            process.Kill(entireProcessTree: true);
            throw new InvalidOperationException($"the child process took more than {s_limit}");
        }

        if (process.ExitCode != 0)
            throw new InvalidOperationException($"the child process ended with {process.ExitCode}: {output.Result}{errors.Result}");
    }

    // The runtime's folder is <root>/shared/Microsoft.NETCore.App/<version>.
    private static string DotnetHost()
    {
        string root = Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", ".."));
        return Path.Combine(root, OperatingSystem.IsWindows() ? "dotnet.exe" : "dotnet");
    }
}
