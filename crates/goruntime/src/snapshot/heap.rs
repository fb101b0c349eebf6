//! The heap's statistics (runtime/mstats.go, `heapStatsDelta`).

use crate::absent::Absent;
use crate::layout::{Place, RuntimeLayout};
use crate::memory::Memory;
use crate::reading::MAX_PLACE;
use crate::snapshot::ring::{ELEMENTS, Ring};
use std::sync::Arc;
use trigon_gobin::FieldError;

/// A process that does nothing but rotate the ring spoils about every other read. If its thread has to wait for a CPU in the
/// middle of that, it spoils them all.
const ATTEMPTS: u32 = 32;
/// Size classes that are believed: Go has 68.
const MAX_CLASSES: usize = 256;
/// Largest object of a size class (`MaxSmallSize` of internal/runtime/gc).
const MAX_CLASS_SIZE: u16 = 32_768;

/// Sizes of the objects of each size class.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SizeClasses(Vec<u16>);

impl SizeClasses {
    pub(crate) fn sizes(&self) -> &[u16] {
        &self.0
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let sizes: Vec<u16> = bytes.as_chunks::<2>().0.iter().map(|size| u16::from_le_bytes(*size)).collect();
        // Class 0 stands for large objects.
        let rises = sizes.first() == Some(&0) && sizes.iter().zip(sizes.iter().skip(1)).all(|(a, b)| a < b);
        (rises && sizes.last() == Some(&MAX_CLASS_SIZE)).then_some(Self(sizes))
    }
}

/// The heap's statistics since the program's start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct HeapStats {
    pub(crate) committed: u64,
    pub(crate) released: u64,
    pub(crate) in_heap: u64,
    pub(crate) in_stacks: u64,
    /// Work buffers, and up to Go 1.24 bitmaps of pointers.
    pub(crate) in_metadata: u64,
    pub(crate) tiny_allocs: u64,
    pub(crate) large_alloc_count: u64,
    pub(crate) large_free_count: u64,
    pub(crate) small_alloc_count: Vec<u64>,
    pub(crate) small_free_count: Vec<u64>,
    pub(crate) allocated_bytes: u64,
    pub(crate) freed_bytes: u64,
    pub(crate) allocated_objects: u64,
    pub(crate) freed_objects: u64,
}

impl HeapStats {
    /// Memory of spans that are free and backed by the system.
    pub(crate) fn free(&self) -> Option<u64> {
        let used = self.in_heap.checked_add(self.in_stacks)?.checked_add(self.in_metadata)?;
        self.committed.checked_sub(used)
    }

    /// Bytes of objects that live, or are not swept yet.
    pub(crate) fn object_bytes(&self) -> Option<u64> {
        self.allocated_bytes.checked_sub(self.freed_bytes)
    }

    /// Objects that live, or are not swept yet.
    pub(crate) fn objects(&self) -> Option<u64> {
        self.allocated_objects.checked_sub(self.freed_objects)
    }

    /// Memory of heap spans that holds no object.
    pub(crate) fn unused(&self) -> Option<u64> {
        self.in_heap.checked_sub(self.object_bytes()?)
    }

    /// Whether no writer was in the middle of several numbers, as far as that shows.
    fn adds_up(&self) -> bool {
        self.free().is_some() && self.unused().is_some() && self.objects().is_some()
    }
}

/// Reads the ring.
#[derive(Debug)]
pub(crate) struct HeapRing {
    layout: Result<Layout, Absent>,
    classes: Option<Arc<SizeClasses>>,
    reads: [Vec<u8>; 3],
}

/// Where the ring lies, and offsets in it.
#[derive(Debug, Clone)]
struct Layout {
    place: Place,
    ring: Ring,
    committed: usize,
    released: usize,
    in_heap: usize,
    in_stacks: usize,
    in_work_bufs: usize,
    in_ptr_scalar_bits: Option<usize>,
    tiny_allocs: usize,
    large_alloc: usize,
    large_alloc_count: usize,
    large_free: usize,
    large_free_count: usize,
    small_alloc_count: usize,
    small_free_count: usize,
    classes: Place,
    class_count: usize,
}

impl Layout {
    fn resolve(layout: &RuntimeLayout) -> Result<Self, Absent> {
        const TY: &str = "consistentHeapStats";
        let place = layout.place("runtime.memstats", "mstats", "heapStats")?;
        let (stats, element) = (layout.field(TY, "stats")?, layout.field(TY, "stats[]")?);
        let generation = layout.field(TY, "gen")?;
        let sound = stats.offset == 0
            && element.size % 8 == 0
            && element.size > 0
            && element.size.checked_mul(ELEMENTS as u64) == Some(stats.size)
            && generation.size == 4
            && generation.offset >= stats.size
            && generation.offset.checked_add(4).is_some_and(|end| end <= place.size)
            && place.size <= MAX_PLACE;
        if !sound {
            return Err(Absent::unsound("the heap's statistics have an unknown form"));
        }
        let number = |field| {
            let info = layout.field("heapStatsDelta", field)?;
            let within = info.size == 8 && info.offset % 8 == 0 && info.offset < element.size;
            within
                .then_some(info.offset as usize / 8)
                .ok_or(Absent::unsound("the heap's statistics have an unknown form"))
        };
        let array = |field| {
            let info = layout.field("heapStatsDelta", field)?;
            let end = info.offset.checked_add(info.size);
            let within = info.size % 8 == 0 && info.offset % 8 == 0 && end.is_some_and(|end| end <= element.size);
            let place = (info.offset as usize / 8, info.size as usize / 8);
            within.then_some(place).ok_or(Absent::unsound("the heap's statistics have an unknown form"))
        };
        let (small_alloc_count, class_count) = array("smallAllocCount")?;
        let (small_free_count, free_count) = array("smallFreeCount")?;
        if class_count != free_count || class_count > MAX_CLASSES {
            return Err(Absent::unsound(format!("{class_count} and {free_count} size classes")));
        }
        let in_ptr_scalar_bits = match number("inPtrScalarBits") {
            Ok(at) => Some(at),
            // Since Go 1.25.
            Err(Absent::Field { error: FieldError::NoField, .. }) => None,
            Err(absent) => return Err(absent),
        };
        // Since Go 1.25 in a package of its own.
        let classes = layout.symbol("internal/runtime/gc.SizeClassToSize");
        let classes = classes.or_else(|_| layout.symbol("runtime.class_to_size"))?;
        let found = Self {
            place,
            ring: Ring { element: element.size as usize / 8, generation: generation.offset as usize, cumulative: 0 },
            committed: number("committed")?,
            released: number("released")?,
            in_heap: number("inHeap")?,
            in_stacks: number("inStacks")?,
            in_work_bufs: number("inWorkBufs")?,
            in_ptr_scalar_bits,
            tiny_allocs: number("tinyAllocCount")?,
            large_alloc: number("largeAlloc")?,
            large_alloc_count: number("largeAllocCount")?,
            large_free: number("largeFree")?,
            large_free_count: number("largeFreeCount")?,
            small_alloc_count,
            small_free_count,
            classes: Place { address: classes, size: 2 * class_count as u64 },
            class_count,
        };
        found.with_cumulative()
    }

    /// The sizes come first; what follows them only rises.
    fn with_cumulative(mut self) -> Result<Self, Absent> {
        let sizes = [self.committed, self.released, self.in_heap, self.in_stacks, self.in_work_bufs];
        let counts = [
            self.tiny_allocs,
            self.large_alloc,
            self.large_alloc_count,
            self.large_free,
            self.large_free_count,
            self.small_alloc_count,
            self.small_free_count,
        ];
        self.ring.cumulative = counts.into_iter().min().unwrap_or_default();
        let apart = sizes.into_iter().chain(self.in_ptr_scalar_bits).all(|size| size < self.ring.cumulative);
        apart.then_some(self).ok_or(Absent::unsound("the heap's statistics have an unknown form"))
    }

    fn stats(&self, sum: &[u64], classes: &SizeClasses) -> Option<HeapStats> {
        let at = |index: usize| sum.get(index).copied();
        let counts = |index: usize| sum.get(index..index + self.class_count).map(<[u64]>::to_vec);
        // Sums of differences: negative ones show a writer in the middle of its work.
        let size = |index: usize| at(index).filter(|&size| size <= i64::MAX as u64);
        let scalars = self.in_ptr_scalar_bits.map_or(Some(0), size)?;
        let (small_alloc_count, small_free_count) = (counts(self.small_alloc_count)?, counts(self.small_free_count)?);
        let bytes = |large: u64, counts: &[u64]| {
            let sizes = counts.iter().zip(classes.sizes());
            sizes.fold(large, |sum, (count, &size)| sum.wrapping_add(count.wrapping_mul(size.into())))
        };
        let objects = |large: u64, counts: &[u64]| counts.iter().fold(large, |sum, count| sum.wrapping_add(*count));
        let (large_alloc_count, large_free_count) = (at(self.large_alloc_count)?, at(self.large_free_count)?);
        Some(HeapStats {
            committed: size(self.committed)?,
            released: size(self.released)?,
            in_heap: size(self.in_heap)?,
            in_stacks: size(self.in_stacks)?,
            in_metadata: size(self.in_work_bufs)?.checked_add(scalars)?,
            tiny_allocs: at(self.tiny_allocs)?,
            allocated_bytes: bytes(at(self.large_alloc)?, &small_alloc_count),
            freed_bytes: bytes(at(self.large_free)?, &small_free_count),
            allocated_objects: objects(large_alloc_count, &small_alloc_count),
            freed_objects: objects(large_free_count, &small_free_count),
            large_alloc_count,
            large_free_count,
            small_alloc_count,
            small_free_count,
        })
    }
}

impl HeapRing {
    pub(crate) fn resolve(layout: &RuntimeLayout) -> Self {
        let layout = Layout::resolve(layout);
        let size = layout.as_ref().map_or(0, |layout| layout.place.size as usize);
        Self { layout, classes: None, reads: std::array::from_fn(|_| vec![0; size]) }
    }

    /// The size classes, once they have been read.
    pub(crate) fn classes(&self) -> Option<&Arc<SizeClasses>> {
        self.classes.as_ref()
    }

    /// Reads until nothing moved in the middle.
    pub(crate) fn read(&mut self, memory: &impl Memory) -> Result<HeapStats, Absent> {
        let layout = self.layout.as_ref().map_err(Clone::clone)?;
        let classes = match &self.classes {
            Some(classes) => Arc::clone(classes),
            None => {
                let mut bytes = vec![0; layout.classes.size as usize];
                memory.read(layout.classes.address, &mut bytes)?;
                let classes = SizeClasses::parse(&bytes).ok_or(Absent::unsound("size classes that do not rise"))?;
                Arc::clone(self.classes.insert(Arc::new(classes)))
            }
        };
        for _ in 0..ATTEMPTS {
            let at = layout.place.address;
            let [first, second, third] = &mut self.reads;
            memory.read_many(&mut [(at, first), (at, second), (at, third)])?;
            let sum = layout.ring.sum([first, second, third]);
            if let Some(stats) = sum.and_then(|sum| layout.stats(&sum, &classes)).filter(HeapStats::adds_up) {
                return Ok(stats);
            }
        }
        Err(Absent::Restless("the ring of heap statistics"))
    }
}
