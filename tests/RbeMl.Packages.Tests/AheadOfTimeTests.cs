using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using RbeMl.Extensions.AI.Tests.Support;
using RbeMl.Models;
using Xunit.Abstractions;

namespace RbeMl.Packages.Tests;

/// <summary>A program compiled ahead of time embeds a sentence, from the packages.</summary>
/// <param name="feed">The packages.</param>
/// <param name="output">Shows size and time.</param>
[Collection(nameof(Feed))]
public sealed class AheadOfTimeTests(Feed feed, ITestOutputHelper output)
{
    private const string Program = """
        using Microsoft.Extensions.AI;
        using RbeMl.Extensions.AI;

        using RbeEmbeddingGenerator generator = RbeEmbeddingGenerator.Load(args[0]);
        ReadOnlyMemory<float> vector = await generator.GenerateVectorAsync(args[1]);
        Console.WriteLine(string.Join(' ', vector.ToArray()));
        """;

    /// <summary>Publishing must not warn. The model is the one that RBEML_ENCODER names, else a small random one.</summary>
    [PackagesFact("clang,gcc")]
    public void A_native_program_embeds_a_sentence()
    {
        string linker = Command.Exists("clang") ? "clang" : "gcc";
        string folder = feed.Project("native", Program, ["RbeMl.Extensions.AI"], ("PublishAot", "true"), ("InvariantGlobalization", "true"),
            ("TreatWarningsAsErrors", "true"), ("CppCompilerAndLinker", linker), ("IlcInstructionSet", "native"));
        Command.Run(folder, "dotnet", "publish", "-c", "Release", "-r", RuntimeInformation.RuntimeIdentifier, "-o", "out", "-v", "q");
        string native = Path.Combine(folder, "out", OperatingSystem.IsWindows() ? "native.exe" : "native");
        string path = Environment.GetEnvironmentVariable("RBEML_ENCODER") is { Length: > 0 } given ? Path.GetFullPath(given)
            : SmallEncoder.Save(Path.Combine(feed.Work, "native.rbe"));
        const string Sentence = "the cat sat on the mat";
        float[] vector = [];
        double fastest = double.MaxValue;
        for (int run = 0; run < 3; run++)
        {
            long start = Stopwatch.GetTimestamp();
            vector = [.. Command.Run(folder, native, path, Sentence).Split(' ').Select(value => float.Parse(value, CultureInfo.InvariantCulture))];
            fastest = Math.Min(fastest, Stopwatch.GetElapsedTime(start).TotalMilliseconds);
        }

        output.WriteLine($"native: {new FileInfo(native).Length:N0} bytes, {fastest:F0} ms from its start to its end");
        using SentenceEncoder encoder = Files.ModelSource.LoadEncoder(path);
        float[] expected = encoder.Embed(Sentence);
        Assert.Equal(expected.Length, vector.Length);
        Assert.All(expected.Zip(vector), pair => Assert.Equal(pair.First, pair.Second, 1e-5f));
    }
}
