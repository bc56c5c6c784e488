using RbeMl.Fuzz.Kinds;

namespace RbeMl.Fuzz;

/// <summary>Every kind of file and component.</summary>
internal static class AllKinds
{
    public static IReadOnlyList<FuzzKind> List { get; } =
    [
        new RbeModelKind(), new RbeBlockKind(), new RbeMatricesKind(), new RbeClassifierKind(), new StateKind(), new DeltaKind(),
        new SafetensorsKind(), new ShardedKind(), new OnnxKind(), new ModelFolderKind(), new EncoderFolderKind(), new TokenizerFilesKind(), new TiktokenKind(),
            new TokenizerJsonKind(),
        new TokenIdsKind(), new TextKind(),
        .. ComponentKind.All, new ZipKind(),
    ];
}
